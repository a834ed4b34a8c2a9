"""Images as text in JSON or a form: `data:` URLs and base64, in every form that has one plain meaning.

White space, missing padding, the url-safe alphabet, percent-encoding, quotes around it, any or no media type:
what clients' libraries make of base64 does not change which bytes were meant. What the bytes are is
decided by the bytes. Nothing is fetched and no file is opened, whatever the text names.
"""

from __future__ import annotations

import binascii
import io
import re

from hailo_common.errors import BadRequest, TooLarge

_BLOCK_CHARS = 1 << 20
_MAX_HEAD = 1024
"""Characters before the comma of a data: URL."""
_MAX_PATH = 4096

_AROUND = "\"'`<> \t\r\n\f\v\u00a0\u200b\ufeff"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,15}:")
_HEAD_WITHOUT_DATA = re.compile(r"(?:[a-z]+/[a-z0-9.+-]+(?:;[a-z0-9.=+-]+)*;)?base64[,:]", re.IGNORECASE)
_DRIVE = re.compile(r"[A-Za-z]:[\\/]|\\\\")
_FILE_NAME = re.compile(r"[^,;]*\.(?:jpe?g|jpe|png|gif|webp|bmp|tiff?|heic|heif|avif|svg|pdf)", re.IGNORECASE)
_SNIFFED = 64
_TEXT_BEGINS = re.compile(rb"[A-Za-z0-9+/_=\s\"'-]{64}")
"""No file of an image begins so: each has a zero or another odd byte in its first 64."""
_JPEG_BEGINS = "/9j"
"""The only image whose base64 begins like a path."""
_ODD = re.compile(r"[^A-Za-z0-9+/_\-=\s\u200b\ufeff%\\]|%(?![0-9A-Fa-f]{2})|\\(?![rntf/])")
_INNER_PADDING = re.compile(r"=(?=[\s=]*[A-Za-z0-9+/_-])")
_WIDE_SPACES = "\u0085\u00a0\u1680\u2028\u2029\u202f\u205f\u3000\u200b\ufeff" + "".join(
    chr(code) for code in range(0x2000, 0x200B)
)
_ESCAPES = (b"\\r", b"\\n", b"\\t", b"\\f")
_SPACES = b" \t\r\n\f\v\\"
_URL_SAFE = bytes.maketrans(b"-_", b"+/")


def read_image_text(text: str, *, limit_bytes: int) -> bytes:
    """The bytes of an image that came as text.

    Raises BadRequest (`image_empty`, `unsupported_image_url`, `invalid_base64`), each with its true cause, or
    TooLarge (`image_too_large`). A text that is right needs no second copy of itself.
    """
    start, end = _without_wrapping(text)
    if text[start : start + 5].lower() == "data:":
        start, is_base64 = _payload_start(text, start)
        if not is_base64 and "%" in text[start : start + 64]:
            return _percent_bytes(text[start:end], limit_bytes)
    elif head := _HEAD_WITHOUT_DATA.match(text, start):
        start = head.end()
    else:
        _refuse_addresses(text[start : min(end, start + _MAX_PATH + 1)])
    if start >= end:
        raise BadRequest("The image is empty.", code="image_empty")
    return _decode(text, start, end, limit_bytes)


def read_image_file(data: bytes, *, limit_bytes: int) -> bytes:
    """The bytes of an image that came as a file of a form or as a body: as they are, or as text like
    above.
    """
    if data[:5].lower() == b"data:" or (len(data) >= _SNIFFED and _TEXT_BEGINS.match(data)):
        return read_image_text(data.decode("utf-8", "replace"), limit_bytes=limit_bytes)
    if len(data) > limit_bytes:
        raise too_large(limit_bytes)
    return data


def too_large(limit_bytes: int) -> TooLarge:
    """The error for an image of too many bytes."""
    return TooLarge(
        f"The image has more than the {limit_bytes:,} bytes that max_image_bytes allows.",
        code="image_too_large",
    )


def _without_wrapping(text: str) -> tuple[int, int]:
    """Where the text begins and ends without white space, quotes and Python's `b'...'` around it."""
    start, end = 0, len(text)
    if text[:2] in ("b'", 'b"') and text.rstrip().endswith(text[1]):
        start = 1
    if text[start : start + 1] in _AROUND:
        start = end - len(text[start:].lstrip(_AROUND))
    if text[-1:] in _AROUND:
        end = len(text.rstrip(_AROUND))
    return start, max(start, end)


def _payload_start(text: str, start: int) -> tuple[int, bool]:
    comma = text.find(",", start, start + _MAX_HEAD)
    if comma < 0:
        raise BadRequest(
            "The data: URL has no comma between its media type and its data (data:image/jpeg;base64,...).",
            code="invalid_base64",
        )
    options = text[start:comma].lower().replace(" ", "").split(";")
    return comma + 1, "base64" in options


def _refuse_addresses(head: str) -> None:
    """Refuse what names an image and does not hold it."""
    if _SCHEME.match(head) and not _DRIVE.match(head):
        raise BadRequest(
            "Only data: URLs are accepted (data:image/jpeg;base64,...), or base64 alone. This service "
            "fetches nothing from the network and opens no files, so that no request can make it do so; "
            "an operator may have another program fetch from hosts that hailo-images.yaml lists.",
            code="unsupported_image_url",
        )
    is_name = len(head) <= _MAX_PATH and _FILE_NAME.fullmatch(head)
    is_path = head.startswith(("./", "../", "~/")) or (head[:1] == "/" and not head.startswith(_JPEG_BEGINS))
    if is_name or is_path or _DRIVE.match(head):
        raise BadRequest(
            "That is the name of a file, not an image. This service opens no files: send the file's bytes "
            "as data:image/jpeg;base64,...",
            code="unsupported_image_url",
        )


def _percent_bytes(text: str, limit: int) -> bytes:
    """The data of a URL without `;base64`: percent-encoded bytes."""
    data = _unquoted(_ascii(text, text, 0))
    if len(data) > limit:
        raise too_large(limit)
    return data


def _unquoted(raw: bytes) -> bytes:
    """Percent-encoding resolved, by the one decoder of such escapes in C that the library has."""
    return binascii.a2b_qp(raw.replace(b"=", b"=3D").replace(b"%", b"="))


def _decode(text: str, start: int, end: int, limit: int) -> bytes:
    """Decode in blocks, so that no second copy of a large text is made."""
    out, carried = io.BytesIO(), b""
    for at in range(start, end, _BLOCK_CHARS):
        block = text[at : min(end, at + _BLOCK_CHARS)]
        carried = _take(carried, text, block, start, out)
        if out.tell() > limit:
            raise too_large(limit)
    _finish(carried, text, start, out)
    if out.tell() > limit:
        raise too_large(limit)
    if not out.tell():
        raise BadRequest("The image is empty.", code="image_empty")
    return out.getvalue()


def _take(carried: bytes, text: str, block: str, start: int, out: io.BytesIO) -> bytes:
    """Decode a block, at once where it is what base64 should be; returns what the next one has to begin
    with.
    """
    if not carried and len(block) % 4 == 0 and block[-1] != "=":
        try:
            out.write(binascii.a2b_base64(block, strict_mode=True))
            return b""
        except ValueError:
            pass
    return _clean(carried, text, block, start, out)


def _clean(carried: bytes, text: str, block: str, start: int, out: io.BytesIO) -> bytes:
    """Decode what is whole of `carried` and `block`; returns the rest, for the next block."""
    raw = carried + _ascii(block, text, start)
    # What the end of the block may have cut apart: %2B, \n.
    cut = next((at for at in (len(raw) - 2, len(raw) - 1) if at >= 0 and raw[at] in b"%\\"), len(raw))
    plain, held = _plain(raw[:cut], text, start), raw[cut:]
    bare = plain.rstrip(b"=")
    whole = len(bare) // 4 * 4
    try:
        out.write(binascii.a2b_base64(bare[:whole], strict_mode=whole > 0))
    except ValueError:
        raise _blame(text, start) from None
    return bare[whole:] + (b"=" if len(bare) < len(plain) else b"") + held


def _finish(carried: bytes, text: str, start: int, out: io.BytesIO) -> None:
    bare = _plain(carried, text, start).rstrip(b"=")
    try:
        # The bits that padding leaves over may be anything.
        out.write(binascii.a2b_base64(bare + b"=" * (-len(bare) % 4), strict_mode=len(bare) > 0))
    except ValueError:
        raise _blame(text, start) from None


def _plain(raw: bytes, text: str, start: int) -> bytes:
    """The standard alphabet: percent-encoding and escapes resolved, white space gone."""
    if b"%" in raw:
        if raw.count(b"%") * 3 > len(raw):
            raise _blame(text, start)
        raw = _unquoted(raw)
    if b"\\" in raw:
        for escape in _ESCAPES:
            raw = raw.replace(escape, b"")
    return raw.translate(_URL_SAFE, _SPACES)


def _ascii(block: str, text: str, start: int) -> bytes:
    if not block.isascii():
        for space in _WIDE_SPACES:
            block = block.replace(space, "")
    try:
        return block.encode("ascii")
    except UnicodeEncodeError:
        raise _blame(text, start) from None


def _blame(text: str, start: int) -> BadRequest:
    """What is wrong with base64 that cannot be decoded."""
    if odd := _ODD.search(text, start):
        why = f"character {odd.start() + 1:,} of its text is none of base64's alphabet"
    elif inner := _INNER_PADDING.search(text, start):
        why = f"it ends with = at character {inner.start() + 1:,} and goes on; each image must come by itself"
    else:
        why = "it is cut short, one character over whole groups of four"
    return BadRequest(f"The image is not valid base64 data: {why}.", code="invalid_base64")

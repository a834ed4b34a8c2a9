"""What a body may be (content types) and how images come in JSON (`data:` URLs, bare base64), both strictly.

A browser asks before it sends these types to another site, except forms, which `origins` guards.
"""

from __future__ import annotations

import binascii
import io
import re

from starlette.requests import Request

from hailo_common.errors import BadRequest, TooLarge, UnsupportedMedia

JSON = "application/json"
FORM = "multipart/form-data"

_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")


def require_media(request: Request, *allowed: str) -> str:
    """The request's media type, which is one of `allowed`; raises UnsupportedMedia otherwise."""
    kind, parameters = _content_type(request)
    if kind not in allowed:
        raise UnsupportedMedia(f"The content type must be {' or '.join(allowed)}.")
    if parameters.get("charset", "utf-8").lower() not in ("utf-8", "utf8"):
        raise UnsupportedMedia("The character set must be UTF-8.")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMedia("A compressed body is not accepted.")
    return kind


def form_boundary(request: Request) -> str:
    """The boundary of a multipart body; raises BadRequest when there is none that can be used."""
    _, parameters = _content_type(request)
    boundary = parameters.get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise BadRequest("The form has no usable boundary.", code="invalid_form")
    return boundary


def _content_type(request: Request) -> tuple[str, dict[str, str]]:
    values = request.headers.getlist("content-type")
    kind, *rest = values[0].split(";") if len(values) == 1 else [""]
    parameters: dict[str, str] = {}
    for item in rest:
        name, _, value = item.partition("=")
        parameters.setdefault(name.strip().lower(), value.strip().strip('"'))
    return kind.strip().lower(), parameters


_HEAD = re.compile(r"data:([a-z0-9.+-]+/[a-z0-9.+-]+);base64,", re.IGNORECASE)
_TYPES = ("image/jpeg", "image/jpg", "image/png", "image/webp")
_BLOCK_CHARS = 1 << 20


def decode_data_uri(text: str, *, limit_bytes: int, bare: bool = False) -> bytes:
    """The bytes of a base64 `data:` URL of a JPEG, PNG or WebP; with `bare` also of base64 without the head.

    Raises BadRequest (`invalid_base64`), UnsupportedMedia or TooLarge (`image_too_large`).
    """
    start = _payload_start(text, bare=bare)
    length = len(text) - start
    padding = text.find("=", start)
    if length == 0 or length % 4 or 0 <= padding < len(text) - 2:
        raise _invalid()
    if length // 4 * 3 - text.count("=", -2) > limit_bytes:
        raise TooLarge("The image is larger than this service accepts.", code="image_too_large")
    return _decode(text, start)


def _invalid() -> BadRequest:
    return BadRequest("The image is not valid base64 data.", code="invalid_base64")


def _payload_start(text: str, *, bare: bool) -> int:
    head = _HEAD.match(text)
    if head is None:
        if bare and text[:5].lower() != "data:":
            return 0
        raise _invalid()
    if head[1].lower() not in _TYPES:
        raise UnsupportedMedia("The image must be JPEG, PNG or WebP.", code="unsupported_image_format")
    return head.end()


def _decode(text: str, start: int) -> bytes:
    # In blocks, so that no second copy of a large text is made.
    out = io.BytesIO()
    try:
        for at in range(start, len(text), _BLOCK_CHARS):
            out.write(binascii.a2b_base64(text[at : at + _BLOCK_CHARS], strict_mode=True))
    except ValueError:
        raise _invalid() from None
    return out.getvalue()

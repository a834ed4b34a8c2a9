"""What a file is, by its first bytes: a format that is decoded, or the name of what it is instead."""

from __future__ import annotations

import re

from hailo_common.images.limits import Buffer, Format

_FORMATS = re.compile(
    rb"(?P<JPEG>\xff\xd8\xff)|(?P<PNG>\x89PNG\r\n\x1a\n)|(?P<WEBP>RIFF....WEBP)|(?P<GIF>GIF8[79]a)"
    rb"|(?P<BMP>BM....\0\0\0\0)|(?P<TIFF>II\*\0|MM\0\*)",
    re.DOTALL,
)
_BOX = re.compile(rb"....ftyp", re.DOTALL)
_AVIF = (b"avif", b"avis")
_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs")
_HEIF = (b"mif1", b"msf1", b"mif2")
_HEAD = 512
_OTHERS: tuple[tuple[str, re.Pattern[bytes]], ...] = tuple(
    (name, re.compile(pattern, re.DOTALL | re.IGNORECASE))
    for name, pattern in (
        ("is_pdf", rb"\s*%PDF-"),
        ("is_svg", rb"\s*(?:\xef\xbb\xbf)?(?:<\?xml[^>]*>)?\s*(?:<!--.*?-->\s*|<!doctype svg[^>]*>\s*)*<svg"),
        ("is_web_page", rb"\s*(?:\xef\xbb\xbf)?(?:<!doctype html|<html|<head|<body)"),
        ("is_video", rb"\x1a\x45\xdf\xa3|RIFF....AVI |FLV\x01|\0\0\x01[\xb3\xba]|OggS|G.{187}G"),
        ("is_sound", rb"ID3|RIFF....WAVE|fLaC|\xff[\xfb\xf3\xf2]|#!AMR"),
        ("is_archive", rb"PK\x03\x04|\x1f\x8b|7z\xbc\xaf|Rar!|BZh|\xfd7zXZ|\x28\xb5\x2f\xfd"),
        (
            "is_other_image",
            rb"8BPS|\0\0\x01\0|\0\0\0\x0cJXL |\xff\x0a|\0\0\0\x0cjP  |%!PS|SIMPLE  =|DDS |qoif|P[1-7]\s",
        ),
        ("is_big_tiff", rb"II\+\0|MM\0\+"),
        ("is_address", rb"\s*(?:https?|ftp|file)://"),
        ("is_json", rb"\s*[{\[]"),
    )
)


def sniff(data: Buffer) -> Format | str:
    """The format, or one of the refusals `is_...` in `hailo_common.images.limits`."""
    head = bytes(data[:_HEAD])
    found = _FORMATS.match(head)
    if found is not None and found.lastgroup is not None:
        return Format(found.lastgroup)
    if _BOX.match(head):
        return _boxed(head)
    for name, pattern in _OTHERS:
        if pattern.match(head):
            return name
    return "is_text" if _is_text(head) else "unsupported_image_format"


def _boxed(head: bytes) -> Format | str:
    """Files of boxes: images of two codecs, videos, and what cameras make besides."""
    size = int.from_bytes(head[:4], "big")
    brands = [head[at : at + 4] for at in (8, *range(16, min(size, len(head)) - 3, 4))]
    if brands[0] in _HEIF:
        brands = [brand for brand in brands if brand in _AVIF + _HEIC] or brands
    if brands[0] in _AVIF:
        return Format.AVIF
    return Format.HEIC if brands[0] in _HEIC + _HEIF else "is_video"


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        # A character that the end of the head cuts.
        if error.start < len(head) - 3:
            return False
        text = head[: error.start].decode("utf-8")
    return all(char.isprintable() or char in "\t\r\n\f" for char in text)

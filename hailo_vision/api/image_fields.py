"""Images in whatever field a client puts them: used where the meaning is plain, else refused by name.

An image that nobody looks at would make the model invent an answer. So everything of a message and of a
body that no reader knows is searched for one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from hailo_vision.api.fields import refused

SOURCES = (
    *("image_url", "image", "input_image", "source", "inline_data", "inlineData", "file", "image_file"),
    *("url", "data", "file_data", "base64", "b64_json", "bytes", "content", "blob"),
)
"""Where an object holds its image: OpenAI's names, then Anthropic's, Google's, Amazon's, LangChain's."""
FIELDS = ("images", "image", "image_url", "image_urls", "files", "file", "attachments", "media")
"""Fields beside a message's content, or beside the messages, whose images belong to the (last) question."""

_MAX_DEPTH = 3
_LONG = 512
_DATA_URL = re.compile(r"\s*[\"'<]?data:image/", re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]+[=\s]*")
_MAGIC = ("/9j/", "iVBORw0KGgo", "UklGR", "R0lGOD", "Qk", "SUkqA", "TU0AK", "AAAA")
"""How base64 of a JPEG, PNG, WebP, GIF, BMP, TIFF or HEIC begins."""
_EMBEDDED = re.compile(
    r"data:image/[a-z0-9.+-]+(?:;[a-z0-9.=+-]+)*;base64,[A-Za-z0-9+/_=-]{64,}", re.IGNORECASE
)


def source_of(part: Any, param: str) -> tuple[Any, str]:
    """The text of an image, and the field it stands in, of a string or of any of the known objects."""
    for _ in range(_MAX_DEPTH):
        if not isinstance(part, Mapping):
            break
        name = next((name for name in SOURCES if part.get(name) is not None), None)
        if name is None:
            return None, param
        part, param = part[name], f"{param}.{name}"
    return part, param


def is_image_text(value: Any) -> bool:
    """Whether a string is an image and cannot be anything else."""
    if not isinstance(value, str) or len(value) < 32:
        return False
    if _DATA_URL.match(value[:64]):
        return True
    begin = value[:_LONG]
    return len(value) >= _LONG and begin.startswith(_MAGIC) and bool(_BASE64.fullmatch(begin))


def beside(data: Mapping[str, Any], known: Collection[str], param: str) -> Iterator[tuple[Any, str]]:
    """The images in fields beside the known ones: (text, field) of each.

    Raises InvalidParameter for one in a field that does not say what it is for.
    """
    for name, value in data.items():
        if name in known:
            continue
        where = f"{param}.{name}" if param else name
        if name in FIELDS and value not in (None, "", [], {}):
            yield from _listed(value, where)
        elif (found := find_image(value, where)) is not None:
            raise refused(
                found,
                f"{found} holds an image, but nothing says what it is for. Images belong into a message's "
                "content, as image_url parts, or into its images.",
                "unexpected_image",
            )


def _listed(value: Any, where: str) -> Iterator[tuple[Any, str]]:
    if not isinstance(value, list):
        yield source_of(value, where)
        return
    for index, item in enumerate(value):
        yield source_of(item, f"{where}[{index}]")


def find_image(value: Any, param: str) -> str | None:
    """The field of the first image inside a value, whatever holds it; None if there is none."""
    waiting = [(value, param)]
    while waiting:
        each, where = waiting.pop()
        if is_image_text(each):
            return where
        if isinstance(each, Mapping):
            waiting += [(inner, f"{where}.{name}") for name, inner in each.items()]
        elif isinstance(each, list):
            waiting += [(inner, f"{where}[{index}]") for index, inner in enumerate(each)]
    return None


def split_text(text: str) -> list[tuple[bool, str]]:
    """A text cut at the data: URLs in it, as Markdown has them: (whether it is an image, the piece) of
    each.
    """
    if "data:image/" not in text.lower() if len(text) < _LONG else "data:image/" not in text:
        return [(False, text)]
    pieces, at = [], 0
    for found in _EMBEDDED.finditer(text):
        if before := text[at : found.start()]:
            pieces.append((False, before))
        pieces.append((True, found[0]))
        at = found.end()
    if rest := text[at:]:
        pieces.append((False, rest))
    return pieces or [(False, text)]

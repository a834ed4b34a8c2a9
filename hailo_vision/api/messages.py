"""The messages of a request: texts, and pictures in all the forms in which clients send them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hailo_common.errors import BadRequest, ServiceError
from hailo_common.images.handles import EncodedImage
from hailo_common.web.media import decode_data_uri
from hailo_vision.api.fields import refused, unsupported

MAX_MESSAGES = 500
MAX_PARTS = 1000
MAX_TEXT = 256 * 1024
"""Characters of all texts together: more than any model here reads, and all that a tokenizer is given."""
_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
_TOOL_ROLES = ("tool", "function")
_TEXTS = {"text": "text", "input_text": "text", "output_text": "text", "refusal": "refusal"}
_IMAGES = ("image_url", "image", "input_image")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,15}):")

Part = dict[str, Any]
Message = dict[str, Any]


@dataclass(frozen=True)
class Image:
    """An encoded picture and the field it came in."""

    upload: EncodedImage
    param: str


@dataclass
class Gallery:
    """The pictures of a request, in the order they were sent; `close` closes them all."""

    most: int
    max_bytes: int
    images: list[Image] = field(default_factory=list)

    def add(self, source: Any, param: str, *, bare: bool = False) -> int:
        """Take one picture (a data: URL, with `bare` also base64 alone); returns its index."""
        if len(self.images) >= self.most:
            raise refused(param, f"A request may hold at most {self.most} pictures.", "too_many_images")
        try:
            data = image_bytes(source, param, self.max_bytes, bare=bare)
        except ServiceError as error:
            error.param = error.param or param
            raise
        self.images.append(Image(EncodedImage(data), param))
        return len(self.images) - 1

    def close(self) -> None:
        """Close all pictures. May be called twice."""
        for image in self.images:
            image.upload.close()


def image_bytes(source: Any, param: str, limit: int, *, bare: bool = False) -> bytes:
    """The bytes of a picture that came inside the request. Nothing is ever fetched."""
    if not isinstance(source, str):
        raise refused(param, f"{param} must be a data: URL of a JPEG, PNG or WebP.")
    scheme = _SCHEME.match(source)
    if scheme is None and not bare:
        raise _no_fetching(param)
    if scheme is not None and scheme[1].lower() != "data":
        raise _no_fetching(param)
    return decode_data_uri(source, limit_bytes=limit, bare=bare)


def _no_fetching(param: str) -> BadRequest:
    return BadRequest(
        "Only data: URLs are accepted (data:image/jpeg;base64,...). This service fetches nothing from the "
        "network and opens no files, so that no request can make it do so.",
        code="unsupported_image_url",
        param=param,
    )


def read_messages(value: Any, gallery: Gallery) -> list[Message]:
    """The messages as the engine takes them; pictures go into the gallery.

    Raises InvalidParameter or BadRequest, with a `param` such as `messages[0].content[1].image_url.url`.
    """
    if not isinstance(value, list) or not value:
        raise refused("messages", "messages must be a list of at least one message.")
    if len(value) > MAX_MESSAGES:
        raise refused("messages", f"messages must hold at most {MAX_MESSAGES} messages.")
    messages = [_message(message, f"messages[{index}]", gallery) for index, message in enumerate(value)]
    check_length(sum(len(part.get("text", "")) for message in messages for part in message["content"]))
    return messages


def check_length(characters: int, param: str = "messages") -> None:
    """Refuse more text than is worth counting the tokens of."""
    if characters > MAX_TEXT:
        raise refused(
            param,
            f"The conversation has {characters} characters of text; at most {MAX_TEXT} are read.",
            "context_length_exceeded",
        )


def _message(message: Any, param: str, gallery: Gallery) -> Message:
    if not isinstance(message, dict):
        raise refused(param, f"{param} must be an object with role and content.")
    role = message.get("role")
    if role in _TOOL_ROLES or message.get("tool_calls") or message.get("function_call"):
        raise unsupported(f"{param}.role", "This model cannot call tools, so a conversation cannot hold any.")
    if not isinstance(role, str) or role not in _ROLES:
        raise refused(f"{param}.role", f"{param}.role must be system, developer, user or assistant.")
    content = message.get("content")
    if content is None and role == "assistant":
        content = message.get("refusal") or ""
    return {"role": _ROLES[role], "content": _content(content, role, f"{param}.content", gallery)}


def _content(content: Any, role: str, param: str, gallery: Gallery) -> list[Part]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if not isinstance(content, list) or not content:
        raise refused(param, f"{param} must be a text or a list of content parts.")
    if len(content) > MAX_PARTS:
        raise refused(param, f"{param} must hold at most {MAX_PARTS} parts.")
    return [_part(part, role, f"{param}[{index}]", gallery) for index, part in enumerate(content)]


def _part(part: Any, role: str, param: str, gallery: Gallery) -> Part:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    kind = part.get("type") if isinstance(part, dict) else None
    if isinstance(kind, str) and kind in _TEXTS:
        text = part.get(_TEXTS[kind])
        if not isinstance(text, str):
            raise refused(f"{param}.{_TEXTS[kind]}", f"{param}.{_TEXTS[kind]} must be a text.")
        return {"type": "text", "text": text}
    if not isinstance(kind, str) or kind not in _IMAGES:
        raise unsupported(f"{param}.type", f"{param}.type must be text or image_url.")
    if role != "user":
        raise refused(f"{param}.type", "Pictures may stand in messages of the user only.")
    source, where = _source(part, kind, param)
    return {"type": "image", "image": gallery.add(source, where, bare=kind == "image")}


def _source(part: Mapping[str, Any], kind: str, param: str) -> tuple[Any, str]:
    """Where a part holds its picture: OpenAI's two forms, the earlier API's, and Anthropic's."""
    for name, inner in (("image_url", "url"), ("image", "data"), ("source", "data")):
        value = part.get(name)
        if isinstance(value, dict):
            return value.get(inner), f"{param}.{name}.{inner}"
        if value is not None:
            return value, f"{param}.{name}"
    name = "image" if kind == "image" else "image_url"
    return None, f"{param}.{name}"

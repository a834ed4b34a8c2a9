"""The messages of a request: texts, and images in all the forms in which clients send them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hailo_vision.api.chat_request import SentImages
from hailo_vision.api.fields import refused, unsupported
from hailo_vision.protocol import ChatMessage, Role

MAX_MESSAGES = 500
MAX_PARTS = 1000
MAX_TEXT = 256 * 1024
"""Characters of all texts together: more than any model here reads, and all that a tokenizer is given."""
_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}
_TOOL_ROLES = ("tool", "function")
_TEXTS = {"text": "text", "input_text": "text", "output_text": "text", "refusal": "refusal"}
_IMAGES = ("image_url", "image", "input_image")


def read_messages(value: Any, images: SentImages) -> tuple[ChatMessage, ...]:
    """The messages as the engine takes them; their images go into `images`.

    Raises InvalidParameter or BadRequest, with a `param` such as `messages[0].content[1].image_url.url`.
    """
    if not isinstance(value, list) or not value:
        raise refused("messages", "messages must be a list of at least one message.")
    if len(value) > MAX_MESSAGES:
        raise refused("messages", f"messages must hold at most {MAX_MESSAGES} messages.")
    messages = tuple(_message(message, f"messages[{index}]", images) for index, message in enumerate(value))
    check_length(sum(len(part) for message in messages for part in message.parts if isinstance(part, str)))
    return messages


def check_length(characters: int, param: str = "messages") -> None:
    """Refuse more text than is worth counting the tokens of."""
    if characters > MAX_TEXT:
        raise refused(
            param,
            f"The conversation has {characters} characters of text; at most {MAX_TEXT} are read.",
            "context_length_exceeded",
        )


def _message(message: Any, param: str, images: SentImages) -> ChatMessage:
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
    return ChatMessage(_ROLES[role], _content(content, role, f"{param}.content", images))


def _content(content: Any, role: str, param: str, images: SentImages) -> tuple[str | int, ...]:
    if isinstance(content, str):
        return (content,)
    if not isinstance(content, list) or not content:
        raise refused(param, f"{param} must be a string or a list of content parts.")
    if len(content) > MAX_PARTS:
        raise refused(param, f"{param} must hold at most {MAX_PARTS} parts.")
    return tuple(_part(part, role, f"{param}[{index}]", images) for index, part in enumerate(content))


def _part(part: Any, role: str, param: str, images: SentImages) -> str | int:
    if isinstance(part, str):
        return part
    kind = part.get("type") if isinstance(part, dict) else None
    if isinstance(kind, str) and kind in _TEXTS:
        text = part.get(_TEXTS[kind])
        if not isinstance(text, str):
            raise refused(f"{param}.{_TEXTS[kind]}", f"{param}.{_TEXTS[kind]} must be a string.")
        return text
    if not isinstance(kind, str) or kind not in _IMAGES:
        raise unsupported(f"{param}.type", f"{param}.type must be text or image_url.")
    if role != "user":
        raise refused(f"{param}.type", "Images may stand in user messages only.")
    source, where = _source(part, kind, param)
    return images.add(source, where, bare=kind == "image")


def _source(part: Mapping[str, Any], kind: str, param: str) -> tuple[Any, str]:
    """Where a part holds its image: OpenAI's two forms, the earlier API's, and Anthropic's."""
    for name, inner in (("image_url", "url"), ("image", "data"), ("source", "data")):
        value = part.get(name)
        if isinstance(value, dict):
            return value.get(inner), f"{param}.{name}.{inner}"
        if value is not None:
            return value, f"{param}.{name}"
    name = "image" if kind == "image" else "image_url"
    return None, f"{param}.{name}"

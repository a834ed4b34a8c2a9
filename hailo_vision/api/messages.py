"""The messages of a request: texts, and images in all the forms in which clients send them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hailo_vision.api.chat_request import SentImages
from hailo_vision.api.fields import refused, unsupported
from hailo_vision.api.image_fields import beside, is_image_text, source_of, split_text
from hailo_vision.api.tools.history import calls_as_text, result_as_text
from hailo_vision.protocol import ChatMessage, Role

MAX_MESSAGES = 500
MAX_PARTS = 1000
MAX_TEXT = 256 * 1024
"""Characters of all texts together: more than any model here reads, and all that a tokenizer is given."""
_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
    "model": "assistant",
    "tool": "user",
    "function": "user",
}
_TOOL_ROLES = ("tool", "function")
_TEXTS = {
    "text": "text",
    "input_text": "text",
    "output_text": "text",
    "refusal": "refusal",
    "thinking": "thinking",
}
_OF_TOOLS = ("tool_use", "tool_result", "redacted_thinking")
_IMAGES = ("image_url", "image", "input_image", "image_file", "file", "input_file", "media", "inline_data")
_KNOWN = frozenset(("role", "content", "refusal", "tool_calls", "function_call", "tool_call_id", "name"))
"""Fields of a message that are read here; images in others belong to the message."""


def read_messages(value: Any, images: SentImages) -> tuple[ChatMessage, ...]:
    """The messages as the engine takes them; their images go into `images`.

    Raises InvalidParameter or BadRequest, with a `param` such as `messages[0].content[1].image_url.url`.
    """
    if not isinstance(value, list) or not value:
        raise refused("messages", "messages must be a list of at least one message.")
    if len(value) > MAX_MESSAGES:
        raise refused("messages", f"messages must hold at most {MAX_MESSAGES} messages.")
    messages = tuple(
        read_message(message, f"messages[{index}]", images) for index, message in enumerate(value)
    )
    check_text(messages)
    return messages


def check_text(messages: Sequence[ChatMessage]) -> None:
    """As `check_length`, over all texts of a conversation."""
    check_length(sum(len(part) for message in messages for part in message.parts if isinstance(part, str)))


def check_length(characters: int, param: str = "messages") -> None:
    """Refuse more text than is worth counting the tokens of."""
    if characters > MAX_TEXT:
        raise refused(
            param,
            f"The conversation has {characters} characters of text; at most {MAX_TEXT} are read.",
            "context_length_exceeded",
        )


def read_message(message: Any, param: str, images: SentImages) -> ChatMessage:
    """One message, which stands in the field `param`; raises as `read_messages`."""
    if not isinstance(message, dict):
        raise refused(param, f"{param} must be an object with role and content.")
    role = message.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        raise refused(f"{param}.role", f"{param}.role must be system, developer, user, assistant or tool.")
    content = message.get("content")
    if content is None and _ROLES[role] == "assistant":
        content = message.get("refusal") or ""
    calls = calls_as_text(message.get("tool_calls"), message.get("function_call"), param)
    parts = () if calls and content in ("", []) else _content(content, role, f"{param}.content", images)
    more = []
    for source, where in beside(message, _KNOWN, param):
        _check_role(role, where)
        more.append(images.add(source, where))
    if role in _TOOL_ROLES:
        parts = (result_as_text(message), *parts)
    return ChatMessage(_ROLES[role], (*more, *parts, *calls))


def _content(content: Any, role: str, param: str, images: SentImages) -> tuple[str | int, ...]:
    if isinstance(content, str):
        return tuple(_text(content, role, param, images))
    if isinstance(content, dict):
        content = [content]
    if not isinstance(content, list) or not content:
        if role in _TOOL_ROLES:
            return ("",)
        raise refused(param, f"{param} must be a string or a list of content parts.")
    if len(content) > MAX_PARTS:
        raise refused(param, f"{param} must hold at most {MAX_PARTS} parts.")
    return tuple(
        found
        for index, part in enumerate(content)
        for found in _part(part, role, f"{param}[{index}]", images)
    )


def _text(text: str, role: str, param: str, images: SentImages) -> list[str | int]:
    """A text; in a user's, the images that stand in it as data: URLs."""
    if role != "user":
        return [text]
    if is_image_text(text) and not any(char.isspace() for char in text[:64]):
        return [images.add(text, param)]
    return [images.add(piece, param) if is_image else piece for is_image, piece in split_text(text)]


def _part(part: Any, role: str, param: str, images: SentImages) -> list[str | int]:
    if isinstance(part, str):
        return _text(part, role, param, images)
    if not isinstance(part, dict):
        raise refused(param, f"{param} must be a string or an object with a type.")
    kind = part.get("type")
    if kind in _OF_TOOLS:
        return _tool_part(part, param, images)
    if isinstance(kind, str) and kind in _TEXTS:
        return _text_part(part, kind, role, param, images)
    source, where = source_of(part, param)
    if kind in _IMAGES or (kind is None and source is not None) or is_image_text(source):
        _check_role(role, f"{param}.type")
        return [images.add(source, where if source is not None else f"{param}.{kind or 'image_url'}")]
    if kind is None and isinstance(part.get("text"), str):
        return _text_part(part, "text", role, param, images)
    raise unsupported(
        f"{param}.type", f"{param}.type must be text or image_url; this model reads texts and images only."
    )


def _tool_part(part: Mapping[str, Any], param: str, images: SentImages) -> list[str | int]:
    """Anthropic's calls and their results, which are parts there; what nobody but its author reads is left
    out.
    """
    if part["type"] == "redacted_thinking":
        return []
    if part["type"] == "tool_use":
        return list(calls_as_text([{"function": {**part, "arguments": part.get("input")}}], None, param))
    content = part.get("content")
    return [result_as_text(part), *_content(content, "tool", f"{param}.content", images)]


def _text_part(
    part: Mapping[str, Any], kind: str, role: str, param: str, images: SentImages
) -> list[str | int]:
    name = _TEXTS[kind]
    text = part.get(name)
    if not isinstance(text, str):
        raise refused(f"{param}.{name}", f"{param}.{name} must be a string.")
    more = [images.add(source, where) for source, where in beside(part, {"type", name}, param)]
    return [*_text(text, role, f"{param}.{name}", images), *more]


def _check_role(role: str, param: str) -> None:
    if role not in ("user", "human", *_TOOL_ROLES):
        raise refused(param, "Images may stand in user messages only.")

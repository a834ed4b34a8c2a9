"""The messages of a request: texts, and images in all the forms in which clients send them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hailo_vision.api.chat_request import SentImages
from hailo_vision.api.fields import refused, unsupported
from hailo_vision.api.image_fields import beside, is_image_text, source_of, split_text
from hailo_vision.api.tools.history import read_calls, read_result
from hailo_vision.protocol import Call, ChatMessage, Role

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
Piece = str | int | Call | ChatMessage
"""What a message is made of: texts, images, and in Anthropic's form calls and results of tools."""


def read_messages(value: Any, images: SentImages) -> tuple[ChatMessage, ...]:
    """The messages as the engine takes them; their images go into `images`.

    Raises InvalidParameter or BadRequest, with a `param` such as `messages[0].content[1].image_url.url`.
    """
    if not isinstance(value, list) or not value:
        raise refused("messages", "messages must be a list of at least one message.")
    if len(value) > MAX_MESSAGES:
        raise refused("messages", f"messages must hold at most {MAX_MESSAGES} messages.")
    messages = tuple(
        found
        for index, message in enumerate(value)
        for found in read_message(message, f"messages[{index}]", images)
    )
    if len(messages) > MAX_PARTS:
        raise refused("messages", f"messages must hold at most {MAX_PARTS} messages and results of tools.")
    check_text(messages)
    return messages


def check_text(messages: Sequence[ChatMessage]) -> None:
    """As `check_length`, over all texts of a conversation."""
    check_length(sum(len(text) for message in messages for text in message.texts))


def check_length(characters: int, param: str = "messages") -> None:
    """Refuse more text than is worth counting the tokens of."""
    if characters > MAX_TEXT:
        raise refused(
            param,
            f"The conversation has {characters} characters of text; at most {MAX_TEXT} are read.",
            "context_length_exceeded",
        )


def read_message(message: Any, param: str, images: SentImages) -> list[ChatMessage]:
    """One message, which stands in the field `param`, with each result of a tool as one of its own; raises as
    `read_messages`.
    """
    if not isinstance(message, dict):
        raise refused(param, f"{param} must be an object with role and content.")
    role = message.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        raise refused(f"{param}.role", f"{param}.role must be system, developer, user, assistant or tool.")
    content = message.get("content")
    if content is None and _ROLES[role] == "assistant":
        content = message.get("refusal") or ""
    calls = read_calls(message.get("tool_calls"), message.get("function_call"), param)
    pieces = () if calls and content in ("", []) else _content(content, role, f"{param}.content", images)
    more = []
    for source, where in beside(message, _KNOWN, param):
        _check_role(role, where)
        more.append(images.add(source, where))
    if role in _TOOL_ROLES:
        return [ChatMessage("user", _flat((*more, *pieces, *calls)), result=read_result(message))]
    return _apart(_ROLES[role], (*more, *pieces, *calls))


def _apart(role: Role, pieces: Sequence[Piece]) -> list[ChatMessage]:
    """The messages of one that may hold results of tools, which are messages of their own, in their order."""
    if role != "assistant":
        made, parts = [], list[Piece]()
        for piece in pieces:
            if isinstance(piece, ChatMessage):
                made += [ChatMessage(role, _flat(parts))] if parts else []
                made, parts = [*made, piece], []
            else:
                parts.append(piece)
        return [*made, ChatMessage(role, _flat(parts))] if parts or not made else made
    calls = tuple(piece for piece in pieces if isinstance(piece, Call))
    said = _flat([piece for piece in pieces if not isinstance(piece, Call)])
    return [ChatMessage(role, said, calls)]


def _flat(pieces: Sequence[Piece]) -> tuple[str | int, ...]:
    """Texts and images; what of tools stands where it has no place is text."""
    parts: list[str | int] = []
    for piece in pieces:
        if isinstance(piece, ChatMessage):
            parts += piece.parts
        else:
            parts.append(f"\n{piece.text}" if isinstance(piece, Call) else piece)
    return tuple(parts)


def _content(content: Any, role: str, param: str, images: SentImages) -> tuple[Piece, ...]:
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


def _part(part: Any, role: str, param: str, images: SentImages) -> Sequence[Piece]:
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


def _tool_part(part: Mapping[str, Any], param: str, images: SentImages) -> Sequence[Piece]:
    """Anthropic's calls and their results, which are parts there; what nobody but its author reads is left
    out.
    """
    if part["type"] == "redacted_thinking":
        return []
    if part["type"] == "tool_use":
        return read_calls([{"function": {**part, "arguments": part.get("input")}}], None, param)
    parts = _flat(_content(part.get("content"), "tool", f"{param}.content", images))
    return [ChatMessage("user", parts, result=read_result(part))]


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

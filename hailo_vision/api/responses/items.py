"""What a conversation is made of in this API: a text, or items, of which messages are one kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hailo_vision.api.chat_request import SentImages
from hailo_vision.api.fields import refused, unsupported
from hailo_vision.api.messages import MAX_MESSAGES, read_message
from hailo_vision.protocol import ChatMessage

_UNREAD = ("reasoning", "compaction")
"""Items that nobody but the model reads which wrote them."""


def read_input(value: Any, images: SentImages) -> tuple[ChatMessage, ...]:
    """The messages of `input`; raises InvalidParameter or BadRequest naming the item."""
    if isinstance(value, str):
        value = [{"role": "user", "content": value}]
    if not isinstance(value, list) or not value:
        raise refused("input", "input must be a text, or a list of at least one item.")
    if len(value) > MAX_MESSAGES:
        raise refused("input", f"input must hold at most {MAX_MESSAGES} items.")
    found = [_item(item, f"input[{index}]") for index, item in enumerate(value)]
    return _joined(
        [
            message
            for index, item in enumerate(found)
            if item is not None
            for message in read_message(item, f"input[{index}]", images)
        ]
    )


def _item(item: Any, param: str) -> Mapping[str, Any] | None:
    """An item as a message of a chat; None for one that is not read."""
    if not isinstance(item, dict):
        raise refused(param, f"{param} must be an object.")
    kind = item.get("type") or "message"
    if kind == "message":
        return {name: value for name, value in item.items() if name not in ("type", "id", "status")}
    if kind == "function_call":
        return {"role": "assistant", "tool_calls": [{"function": item}]}
    if kind == "function_call_output":
        return {"role": "tool", "content": item.get("output") or "", "tool_call_id": item.get("call_id")}
    if kind in _UNREAD:
        return None
    if kind == "item_reference":
        raise unsupported(
            f"{param}.type",
            "Items are not kept one by one here: use previous_response_id, or send them again.",
        )
    raise unsupported(
        f"{param}.type", f"{param}.type must be message, function_call or function_call_output here."
    )


def _joined(messages: Sequence[ChatMessage]) -> tuple[ChatMessage, ...]:
    """The messages with what an assistant said in several items as one."""
    joined: list[ChatMessage] = []
    for message in messages:
        if message.role == "assistant" and joined and joined[-1].role == "assistant":
            before = joined[-1]
            parts, calls = (*before.parts, *message.parts), (*before.calls, *message.calls)
            joined[-1] = replace(before, parts=parts, calls=calls)
        else:
            joined.append(message)
    return tuple(joined)

"""From the body of a request of Anthropic's API to a checked conversation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hailo_vision.api.chat_request import ChatRequest, sent_images
from hailo_vision.api.chat_service import ChatService
from hailo_vision.api.fields import Data, refuse_given, refused, table
from hailo_vision.api.messages import check_text, read_messages
from hailo_vision.api.openai.request import read_options, with_images
from hailo_vision.api.options import json_format, read_stops
from hailo_vision.api.tools.declared import read_tools
from hailo_vision.protocol import ChatMessage

_SAMPLING = ("temperature", "top_p", "top_k", "max_tokens", "seed")
_KNOWN = ("messages", "model", "system", "tools")
_REFUSED = {
    "container": "This service runs no code.",
    "mcp_servers": "This service calls no MCP servers.",
    "context_management": "Conversations are not edited here.",
}


def chat_request(data: Data, service: ChatService) -> ChatRequest:
    """What is asked; the caller closes it. Raises InvalidParameter or BadRequest."""
    refuse_given(data, _REFUSED)
    engine = read_options({name: data.get(name) for name in _SAMPLING}, service.limits)
    engine = replace(
        engine,
        stops=read_stops(data.get("stop_sequences"), "stop_sequences"),
        response_format=_format(data),
    )
    tools = read_tools(data, refuse_others=True)
    with sent_images(service.limits) as images:
        messages = read_messages(data.get("messages"), images)
        messages = with_images((*_system(data.get("system")), *messages), data, images, known=_KNOWN)
        check_text(messages)
        return ChatRequest(replace(engine, messages=messages), images, tools)


def _system(value: Any) -> tuple[ChatMessage, ...]:
    """A text, or a list of blocks of text."""
    if value in (None, "", []):
        return ()
    blocks = [value] if isinstance(value, str) else value
    texts = tuple(_block(block) for block in blocks) if isinstance(blocks, list) else (None,)
    parts = tuple(text for text in texts if text is not None)
    if len(parts) < len(texts):
        raise refused("system", "system must be a string or a list of text blocks.")
    return (ChatMessage("system", tuple(f"{text}\n" for text in parts[:-1]) + parts[-1:]),)


def _block(block: Any) -> str | None:
    text = block.get("text") if isinstance(block, dict) else block
    return text if isinstance(text, str) else None


def _format(data: Data) -> dict[str, Any] | None:
    """JSON by a schema: `output_config.format`, or `output_format` as it was called before."""
    config = table(data, "output_config") or {}
    name = "output_config.format" if config.get("format") is not None else "output_format"
    wanted = table(config, "format", name) or table(data, "output_format")
    if wanted is None:
        return None
    schema = wanted.get("schema")
    if wanted.get("type") != "json_schema" or not isinstance(schema, dict):
        raise refused(name, f"{name} must have the type json_schema, and a schema.")
    return json_format(schema, f"{name}.schema", strict=True)

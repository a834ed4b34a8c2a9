"""Clients of OpenAI, Anthropic and Ollama that look for a chat are told where it is, in their own form."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from hailo_common.errors import NotFound, ServiceError
from hailo_common.web.errors import FlatFormat
from hailo_common.web.state import server_state_of

HINT = "This service captions images and has no chat; that is hailo-vision's, usually on port 11435."
_OPENAIS = ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages")
_OLLAMAS = ("/api/chat", "/api/generate", "/api/show")


class NestedFormat(FlatFormat):
    """`{"type", "error": {"message", "type", "param", "code"}}`: OpenAI's and Anthropic's clients each read
    their part.
    """

    def __call__(self, status: int, error: ServiceError) -> dict[str, Any]:  # noqa: ARG002
        """See `ErrorFormat`."""
        told = {"message": error.message, "type": "not_found_error", "param": error.param, "code": error.code}
        return {"type": "error", "error": told}


class TextFormat(FlatFormat):
    """`{"error": "..."}`, as Ollama's clients read it."""

    def __call__(self, status: int, error: ServiceError) -> dict[str, Any]:  # noqa: ARG002
        """See `ErrorFormat`."""
        return {"error": error.message}


async def no_chat() -> None:
    """Where the chat is."""
    raise NotFound(HINT, code="no_chat_here")


def add_no_chat(app: FastAPI) -> None:
    """Answer at the addresses where clients look for a chat."""
    formats = server_state_of(app).error_formats
    for paths, error_format in ((_OPENAIS, NestedFormat()), (_OLLAMAS, TextFormat())):
        for path in paths:
            formats[path] = error_format
            app.add_api_route(path, no_chat, methods=["POST"], include_in_schema=False)

"""From the body of a chat request to a checked `ChatRequest`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request

from hailo_common.resources import Closeable
from hailo_common.web.body import read_json, release_body
from hailo_vision.api.messages import Gallery, Message, read_messages
from hailo_vision.api.options import Defaults, Options, read_options


@dataclass(frozen=True)
class RequestLimits:
    """What an operator allows one request."""

    body_bytes: int = 32 * 1024 * 1024
    images: int = 16
    image_bytes: int = 10_485_760
    context_policy: str = "refuse"
    defaults: Defaults = field(default_factory=Defaults)


@dataclass(frozen=True)
class ChatRequest(Closeable):
    """One conversation that wants an answer; a context manager that closes its pictures."""

    model: str
    messages: list[Message]
    gallery: Gallery
    options: Options
    context_policy: str

    def for_engine(self, more: tuple[Message, ...] = ()) -> dict[str, Any]:
        """The engine request, with more messages after the call's own."""
        return {
            "messages": [*self.messages, *more],
            "context_policy": self.context_policy,
            **self.options.for_engine(),
        }

    def close(self) -> None:
        """Close the pictures. May be called twice."""
        self.gallery.close()


async def read_chat_request(
    request: Request, limits: RequestLimits, check_model: Callable[[Any], str]
) -> ChatRequest:
    """Read and check everything but the pictures' contents; the caller closes the call.

    `check_model` gives the model's own name for the one that was sent. Raises ServiceError, ClientDisconnect.
    """
    data = await read_json(request, limit=limits.body_bytes)
    model = check_model(data.get("model"))
    options = read_options(data, limits.defaults)
    gallery = Gallery(limits.images, limits.image_bytes)
    try:
        messages = read_messages(data.get("messages"), gallery)
    except BaseException:
        gallery.close()
        raise
    del data
    release_body(request)
    return ChatRequest(model, messages, gallery, options, limits.context_policy)

"""A checked conversation that wants an answer, whatever its dialect, and what an operator allows one."""

from __future__ import annotations

from dataclasses import dataclass

from hailo_common.resources import Closeable
from hailo_vision.api.images import SentImages
from hailo_vision.protocol import ContextPolicy, VisionRequest


@dataclass(frozen=True, kw_only=True)
class RequestLimits:
    """What an operator allows one request, and what goes for a request that does not say."""

    body_bytes: int
    images: int
    image_bytes: int
    context_policy: ContextPolicy
    max_new_tokens: int
    temperature: float


@dataclass(frozen=True)
class ChatRequest(Closeable):
    """What the engine is asked, and the images that go with it; a context manager that closes them."""

    engine: VisionRequest
    images: SentImages

    def close(self) -> None:
        """Close the images. May be called twice."""
        self.images.close()

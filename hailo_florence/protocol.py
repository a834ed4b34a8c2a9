"""What crosses between hailo-florence's HTTP process and its engine: one image and a task in, one text out.

The API has checked every field before a `FlorenceRequest` is made. Loads no numpy: both processes use it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Self

from hailo_common.engine.contract import EngineResult, OwnedRequest

Task = Literal["caption", "vqa"]


@dataclass(frozen=True, kw_only=True)
class FlorenceRequest(OwnedRequest):
    """Lengths are in answer tokens, None the model's own minimum; `temperature` 0 is greedy."""

    task: Task
    question: str | None = None
    max_length: int
    min_length: int | None = None
    temperature: float = 0.0
    seed: int | None = None

    def to_json(self) -> dict[str, Any]:
        """The same as a JSON object."""
        return dict(vars(self))

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """The inverse of `to_json`."""
        return cls(**value)


@dataclass(frozen=True, kw_only=True)
class FlorenceResult(EngineResult):
    """One text; `completion_tokens` leaves special tokens out. Seconds are by stage."""

    completion_tokens: int
    vision_seconds: float
    encoder_seconds: float
    decode_seconds: float

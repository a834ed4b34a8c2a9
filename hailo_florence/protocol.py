"""What one request asks of the engine, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hailo_common.engine.fields import ANY, number_field, whole_field
from hailo_florence.model.generate import LengthLimits


@dataclass(frozen=True)
class FlorenceRequest:
    """Lengths are in answer tokens; `temperature` 0 is greedy."""

    task: str
    question: str | None
    limits: LengthLimits
    temperature: float
    seed: int | None


def parse_request(request: Mapping[str, Any], longest: int) -> FlorenceRequest:
    """Check a request; raises InvalidParameter naming the field.

    An answer may be asked to be longer than the model's `longest`; it is cut there all the same.
    """
    maximum = whole_field(request, "max_length", 1, ANY)
    minimum = None if request.get("min_length") is None else whole_field(request, "min_length", 0, maximum)
    return FlorenceRequest(
        task=str(request.get("task")),
        question=request.get("question"),
        limits=LengthLimits(min(maximum, longest), minimum),
        temperature=number_field(request, "temperature", 0.0, low=0.0),
        seed=None if request.get("seed") is None else whole_field(request, "seed", 0, ANY),
    )

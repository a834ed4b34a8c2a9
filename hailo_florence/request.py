"""What one request asks of the engine, checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hailo_common.errors import InvalidParameter
from hailo_florence.generate import Limits

_ANY = 2**63 - 1


@dataclass(frozen=True)
class FlorenceRequest:
    """Lengths are in answer tokens; `temperature` 0 is greedy."""

    task: str
    question: str | None
    limits: Limits
    temperature: float
    seed: int | None


def parse_request(request: Mapping[str, Any], longest: int) -> FlorenceRequest:
    """Check a request; raises InvalidParameter naming the field.

    An answer may be asked to be longer than the model's `longest`; it is cut there all the same.
    """
    maximum = _whole(request, "max_length", 1, _ANY)
    minimum = None if request.get("min_length") is None else _whole(request, "min_length", 0, maximum)
    temperature = request.get("temperature", 0.0)
    if not isinstance(temperature, (int, float)) or not math.isfinite(temperature) or temperature < 0:
        raise InvalidParameter("temperature must be a number of at least 0.", param="temperature")
    return FlorenceRequest(
        task=str(request.get("task")),
        question=request.get("question"),
        limits=Limits(min(maximum, longest), minimum),
        temperature=float(temperature),
        seed=None if request.get("seed") is None else _whole(request, "seed", 0, _ANY),
    )


def _whole(request: Mapping[str, Any], name: str, low: int, high: int) -> int:
    value = request.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise InvalidParameter(f"{name} must be a whole number from {low} to {high}.", param=name)
    return value

"""Checks of the plain values in an engine's request."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from hailo_common.errors import InvalidParameter

ANY = 2**63 - 1
"""The highest whole number that a field without a bound of its own may hold."""


def whole_field(request: Mapping[str, Any], name: str, low: int, high: int) -> int:
    """`request[name]` as an int from `low` to `high`; raises InvalidParameter naming the field."""
    value = request.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise InvalidParameter(f"{name} must be a whole number from {low} to {high}.", param=name)
    return value


def number_field(
    request: Mapping[str, Any], name: str, default: float, *, low: float, high: float = math.inf
) -> float:
    """`request[name]` as a finite float from `low` to `high`; raises InvalidParameter naming the field."""
    value = request.get(name, default)
    wrong = not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value)
    if wrong or not low <= value <= high:
        bounds = f"of at least {low:g}" if math.isinf(high) else f"from {low:g} to {high:g}"
        raise InvalidParameter(f"{name} must be a number {bounds}.", param=name)
    return float(value)

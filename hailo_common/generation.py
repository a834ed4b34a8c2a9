"""Values of a `generation_config.json` that every kind of model has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hailo_common.errors import ModelError


def token_ids(value: Any, key: str, source: str) -> tuple[int, ...]:
    """A token id or a list of them as a tuple, empty for None; raises ModelError naming `source`."""
    listed = [] if value is None else value if isinstance(value, list) else [value]
    if not all(isinstance(item, int) and not isinstance(item, bool) and item >= 0 for item in listed):
        raise ModelError(f"{source}: expected token ids for {key!r}")
    return tuple(listed)


def repetition_penalty(values: Mapping[str, Any], source: str) -> float:
    """The model's own `repetition_penalty`, 1 (none) when absent; raises ModelError naming `source`."""
    value = values.get("repetition_penalty")
    if value is None:
        return 1.0
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not value > 0:
        raise ModelError(f"{source}: expected a number above 0 for 'repetition_penalty'")
    return float(value)

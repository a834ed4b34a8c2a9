"""Reading single fields of a request: null is the same as absent, an error names the field and its range."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hailo_common.errors import InvalidParameter

Data = Mapping[str, Any]


def refused(param: str, message: str, code: str = "invalid_value") -> InvalidParameter:
    """The error for a field."""
    return InvalidParameter(message, code=code, param=param)


def number(data: Data, name: str, low: float, high: float, default: float) -> float:
    """A number from `low` to `high`, or `default`."""
    value = data.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise refused(name, f"{name} must be a number from {low:g} to {high:g}.")
    return float(value)


def integer(data: Data, name: str, low: int, high: int | None = None) -> int | None:
    """An integer of at least `low`, at most `high` where there is one; None when absent.

    A number such as 5.0 is one: JSON has no other kind, and some clients write all numbers so.
    """
    value = data.get(name)
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < low or (high and value > high):
        limits = f"of at least {low}" if high is None else f"from {low} to {high}"
        raise refused(name, f"{name} must be an integer {limits}.")
    return value


def flag(data: Data, name: str, param: str = "") -> bool:
    """True or false; false when absent."""
    value = data.get(name)
    if value is not None and not isinstance(value, bool):
        raise refused(param or name, f"{param or name} must be true or false.")
    return bool(value)


def string(data: Data, name: str, param: str = "") -> str:
    """A string that must be there."""
    value = data.get(name)
    if not isinstance(value, str):
        raise refused(param or name, f"{param or name} must be a string.")
    return value


def table(data: Data, name: str, param: str = "") -> dict[str, Any] | None:
    """An object, or None when absent."""
    value = data.get(name)
    if value is not None and not isinstance(value, dict):
        raise refused(param or name, f"{param or name} must be an object.")
    return value


def refuse_given(data: Data, reasons: Mapping[str, str]) -> None:
    """Raise for the first of these fields that asks for anything; `reasons` says why of each."""
    for name, why in reasons.items():
        if data.get(name):
            raise unsupported(name, why)


def unsupported(param: str, why: str) -> InvalidParameter:
    """The error for what OpenAI has and this service cannot do."""
    return refused(param, why, "unsupported_parameter")

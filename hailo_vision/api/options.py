"""Reading what all dialects have: stop strings, JSON schemas, seeds."""

from __future__ import annotations

import json
import secrets
from typing import Any

from hailo_vision.api.fields import refused

MAX_STOPS = 16
MAX_STOP_LENGTH = 256
MAX_SCHEMA = 64 * 1024
SEEDS = 2**63
"""How many seeds there are; any integer is one, modulo this."""


def drawn_seed() -> int:
    """A seed for a request that names none: drawn once, so that an interrupted one is answered the same."""
    return secrets.randbelow(SEEDS)


def read_stops(value: Any, param: str = "stop") -> tuple[str, ...]:
    """One or several stop strings; what is empty stops nothing."""
    stops = value if isinstance(value, list) else [value]
    stops = [stop for stop in stops if stop not in (None, "")]
    fits = len(stops) <= MAX_STOPS
    if not fits or not all(isinstance(stop, str) and len(stop) <= MAX_STOP_LENGTH for stop in stops):
        raise refused(
            param,
            f"{param} must be a string, or up to {MAX_STOPS}, each of at most {MAX_STOP_LENGTH} characters.",
        )
    return tuple(stops)


def json_format(schema: dict[str, Any], param: str, *, strict: bool) -> dict[str, Any]:
    """The response format of a JSON schema that came in this field."""
    if len(json.dumps(schema)) > MAX_SCHEMA:
        raise refused(param, f"The schema is longer than {MAX_SCHEMA} bytes.")
    return {"type": "json_schema", "schema": schema, "strict": strict}

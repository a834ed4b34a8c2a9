"""Reading what all dialects have: sampling, stop strings, JSON schemas."""

from __future__ import annotations

import json
import secrets
from typing import Any

from hailo_vision.api.fields import Data, flag, integer, number, refused, table
from hailo_vision.protocol import Sampling

MAX_STOPS = 16
MAX_STOP_LENGTH = 256
MAX_SCHEMA = 64 * 1024
SEEDS = 2**63
"""How many seeds there are; any integer is one, modulo this."""
_SMALLEST_TOP_P = 1e-6


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


def read_sampling(data: Data, temperature: float, *, repetition: str = "repetition_penalty") -> Sampling:
    """How tokens are chosen, but for their biases; `temperature` is the usual one, `repetition` the name of
    that penalty.
    """
    seed = integer(data, "seed", -SEEDS)
    return Sampling(
        temperature=number(data, "temperature", 0, 2, temperature),
        top_p=max(_SMALLEST_TOP_P, number(data, "top_p", 0, 1, 1.0)),
        top_k=max(0, integer(data, "top_k", -1, SEEDS - 1) or 0),
        seed=drawn_seed() if seed is None else seed % SEEDS,
        frequency=number(data, "frequency_penalty", -2, 2, 0.0),
        presence=number(data, "presence_penalty", -2, 2, 0.0),
        repetition=None if data.get(repetition) is None else number(data, repetition, 0.01, 10, 1.0),
    )


def read_format(value: Data, param: str, inner: str = "") -> dict[str, Any] | None:
    """OpenAI's response format in the field `param`, None for plain text; a schema stands in its `inner`."""
    kind = value.get("type")
    if kind == "text":
        return None
    if kind == "json_object":
        return {"type": "json_object"}
    if kind != "json_schema":
        raise refused(f"{param}.type", f"{param}.type must be text, json_object or json_schema.")
    where = f"{param}.{inner}" if inner else param
    described = (table(value, inner, where) or {}) if inner else value
    schema = table(described, "schema", f"{where}.schema")
    if schema is None:
        raise refused(f"{where}.schema", f"{where}.schema is required.")
    strict = flag(described, "strict", f"{where}.strict")
    return json_format(schema, f"{where}.schema", strict=strict)


def json_format(schema: dict[str, Any], param: str, *, strict: bool) -> dict[str, Any]:
    """The response format of a JSON schema that came in this field."""
    if len(json.dumps(schema)) > MAX_SCHEMA:
        raise refused(param, f"The schema is longer than {MAX_SCHEMA} bytes.")
    return {"type": "json_schema", "schema": closed(schema) if strict else schema, "strict": strict}


def closed(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without room for keys that it does not describe, as OpenAI's strict mode has it.

    What stands below `allOf` describes only a part of an object, and stays as it is.
    """
    made = {name: _closed_inside(name, value) for name, value in schema.items()}
    kind = schema.get("type", "object")
    is_object = kind == "object" or (isinstance(kind, list) and "object" in kind)
    described = is_object and isinstance(schema.get("properties"), dict)
    if described and not schema.keys() & {"additionalProperties", "allOf", "patternProperties", "$ref"}:
        made["additionalProperties"] = False
    return made


def _closed_inside(name: str, value: Any) -> Any:
    """The value of a schema's keyword, with the schemas in it closed."""
    if name in ("properties", "$defs", "definitions") and isinstance(value, dict):
        return {key: closed(each) if isinstance(each, dict) else each for key, each in value.items()}
    if name in ("anyOf", "oneOf", "prefixItems") and isinstance(value, list):
        return [closed(each) if isinstance(each, dict) else each for each in value]
    return closed(value) if name in ("items", "additionalProperties") and isinstance(value, dict) else value

"""Answers that must be JSON, where the backend cannot constrain them: asked for, checked, checked again.

The checker of JSON schemas is our own because strangers write them: a few nested `allOf` make 2^n steps of a
general validator, and one `pattern` makes Python run for ever. This one counts its steps and refuses what
it does not know.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from hailo_vision.api.fields import refused

_MOST_STEPS = 20_000
_PARAM = "response_format.json_schema.schema"
_NOTES = frozenset(
    {"$schema", "$id", "$comment", "$defs", "definitions", "title", "description", "default", "examples"}
    | {"format", "deprecated", "readOnly", "writeOnly", "name", "strict"}
)
_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int, float),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


class Mismatch(Exception):
    """Why a text is not the JSON that was asked for, in words that a model may read."""


def check(value: Any, schema: Mapping[str, Any] | bool) -> None:
    """Raise Mismatch where `value` breaks `schema`, InvalidParameter for none or too much work."""
    try:
        _Checker(schema).check(value, schema, "$")
    except RecursionError:
        raise refused(_PARAM, "The schema is nested too deeply.") from None
    except (TypeError, AttributeError, ValueError, KeyError, ArithmeticError):
        # `required: 5`, `multipleOf: 0`: what the checker meets in a schema that is none.
        raise refused(_PARAM, "The schema is not a JSON schema.") from None


def check_schema(schema: Mapping[str, Any]) -> None:
    """Raise InvalidParameter for a schema with what the checker does not know."""
    waiting: list[tuple[Any, int]] = [(schema, 0)]
    while waiting:
        node, depth = waiting.pop()
        if isinstance(node, bool):
            continue
        if not isinstance(node, dict) or depth > 32:
            raise refused(_PARAM, "The schema is not a JSON schema.")
        unknown = sorted(set(node) - _NOTES - set(_KEYWORDS) - {"$ref"})
        if unknown:
            raise refused(_PARAM, "The schema has a keyword that this backend cannot enforce.")
        waiting += [(child, depth + 1) for child in _children(node)]


def _children(node: Mapping[str, Any]) -> list[Any]:
    found = [node[name] for name in ("items", "additionalProperties", "not") if name in node]
    for name in ("properties", "$defs", "definitions"):
        found += list(node[name].values()) if isinstance(node.get(name), dict) else []
    for name in ("anyOf", "oneOf", "allOf", "prefixItems"):
        found += node[name] if isinstance(node.get(name), list) else []
    return found


class _Checker:
    """Holds a value against a schema, with a bound on the steps that takes."""

    def __init__(self, root: Mapping[str, Any] | bool) -> None:
        self._root = root
        self._steps = 0

    def check(self, value: Any, schema: Any, path: str) -> None:
        """Raise Mismatch where `value` breaks `schema`."""
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise refused(_PARAM, "The schema takes too long to check.")
        if schema is True or schema == {}:
            return
        if not isinstance(schema, dict):
            raise Mismatch(f"{path} must not be there")
        if "$ref" in schema:
            self.check(value, self._resolved(schema["$ref"]), path)
        for keyword, rule in schema.items():
            if keyword in _KEYWORDS:
                _KEYWORDS[keyword](self, value, rule, schema, path)

    def fits(self, value: Any, schema: Any, path: str) -> bool:
        """Whether `value` keeps to `schema`."""
        try:
            self.check(value, schema, path)
        except Mismatch:
            return False
        return True

    def _resolved(self, reference: Any) -> Any:
        node: Any = self._root
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise refused(_PARAM, "The schema refers to something outside itself.")
        for step in reference[1:].strip("/").split("/") if reference != "#" else ():
            node = node.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(node, dict) else None
        if node is None:
            raise refused(_PARAM, "The schema refers to something that it does not hold.")
        return node


_Rule = Callable[[_Checker, Any, Any, Mapping[str, Any], str], None]


def _type(_checker: _Checker, value: Any, rule: Any, _schema: Any, path: str) -> None:
    names = rule if isinstance(rule, list) else [rule]
    if not any(_is(value, name) for name in names):
        raise Mismatch(f"{path} must be of type {' or '.join(map(str, names))}")


def _is(value: Any, name: Any) -> bool:
    kinds = _TYPES.get(name, ()) if isinstance(name, str) else ()
    if isinstance(value, bool):
        return bool in kinds
    whole = not isinstance(value, float) or value.is_integer()
    return isinstance(value, kinds) and (name != "integer" or whole)


def _enum(_checker: _Checker, value: Any, rule: Any, _schema: Any, path: str) -> None:
    if not any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in rule):
        raise Mismatch(f"{path} must be one of {json.dumps(rule)[:200]}")


def _const(checker: _Checker, value: Any, rule: Any, schema: Any, path: str) -> None:
    _enum(checker, value, [rule], schema, path)


def _properties(checker: _Checker, value: Any, rule: Any, _schema: Any, path: str) -> None:
    for name in rule if isinstance(value, dict) else ():
        if name in value:
            checker.check(value[name], rule[name], f"{path}.{name}")


def _required(_checker: _Checker, value: Any, rule: Any, _schema: Any, path: str) -> None:
    missing = [name for name in rule if name not in value] if isinstance(value, dict) else []
    if missing:
        raise Mismatch(f"{path} lacks {missing[0]}")


def _additional(checker: _Checker, value: Any, rule: Any, schema: Any, path: str) -> None:
    if isinstance(value, dict):
        for name in value.keys() - schema.get("properties", {}).keys():
            checker.check(value[name], rule, f"{path}.{name}")


def _items(checker: _Checker, value: Any, rule: Any, schema: Any, path: str) -> None:
    for index, item in enumerate(value if isinstance(value, list) else ()):
        if index >= len(schema.get("prefixItems", ())):
            checker.check(item, rule, f"{path}[{index}]")


def _prefix(checker: _Checker, value: Any, rule: Any, _schema: Any, path: str) -> None:
    for index, (item, part) in enumerate(zip(value if isinstance(value, list) else (), rule, strict=False)):
        checker.check(item, part, f"{path}[{index}]")


def _any_of(checker: _Checker, value: Any, rule: Any, _schema: Any, path: str) -> None:
    if not any(checker.fits(value, option, path) for option in rule):
        raise Mismatch(f"{path} fits none of the allowed forms")


def _one_of(checker: _Checker, value: Any, rule: Any, _schema: Any, path: str) -> None:
    if sum(checker.fits(value, option, path) for option in rule) != 1:
        raise Mismatch(f"{path} does not fit exactly one of the allowed forms")


def _all_of(checker: _Checker, value: Any, rule: Any, _schema: Any, path: str) -> None:
    for option in rule:
        checker.check(value, option, path)


def _not(checker: _Checker, value: Any, rule: Any, _schema: Any, path: str) -> None:
    if checker.fits(value, rule, path):
        raise Mismatch(f"{path} has a form that is not allowed")


def _bound(
    kind: tuple[type, ...], measure: Callable[[Any], float], holds: Callable[[float, float], bool]
) -> _Rule:
    def check(_checker: _Checker, value: Any, rule: Any, _schema: Any, path: str) -> None:
        if isinstance(value, kind) and not isinstance(value, bool) and not holds(measure(value), rule):
            raise Mismatch(f"{path} is out of its range")

    return check


_NUMBER = (int, float)
_KEYWORDS: dict[str, _Rule] = {
    "type": _type,
    "enum": _enum,
    "const": _const,
    "properties": _properties,
    "required": _required,
    "additionalProperties": _additional,
    "items": _items,
    "prefixItems": _prefix,
    "anyOf": _any_of,
    "oneOf": _one_of,
    "allOf": _all_of,
    "not": _not,
    "minimum": _bound(_NUMBER, float, lambda value, rule: value >= rule),
    "maximum": _bound(_NUMBER, float, lambda value, rule: value <= rule),
    "exclusiveMinimum": _bound(_NUMBER, float, lambda value, rule: value > rule),
    "exclusiveMaximum": _bound(_NUMBER, float, lambda value, rule: value < rule),
    "multipleOf": _bound(_NUMBER, float, lambda value, rule: math.isclose(value, rule * round(value / rule))),
    "minLength": _bound((str,), len, lambda value, rule: value >= rule),
    "maxLength": _bound((str,), len, lambda value, rule: value <= rule),
    "minItems": _bound((list,), len, lambda value, rule: value >= rule),
    "maxItems": _bound((list,), len, lambda value, rule: value <= rule),
}


def parse(text: str, schema: Mapping[str, Any] | bool | None) -> str:
    """The JSON in `text`, without a Markdown fence around it; raises Mismatch, or InvalidParameter.

    Without a schema it must be an object; the schema True takes any JSON.
    """
    bare = without_fence(text)
    try:
        value = json.loads(bare, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Mismatch("it is not valid JSON") from None
    if schema is None and not isinstance(value, dict):
        raise Mismatch("it is not a JSON object")
    if schema is not None:
        check(value, schema)
    return bare


def instruction(schema: Mapping[str, Any] | None) -> str:
    """What a model is told that nothing constrains."""
    if schema is None:
        return "Answer with one JSON object and nothing else."
    return "Answer with JSON that follows this JSON schema, and nothing else: " + json.dumps(schema)


def correction(why: str) -> str:
    """What a model is told after a wrong answer."""
    return f"That answer cannot be used: {why}. Answer again, with the JSON only."


def without_fence(text: str) -> str:
    """A text without the Markdown fence around it, if there is one."""
    bare = text.strip()
    if bare.startswith("```") and bare.endswith("```") and len(bare) > 6:
        bare = bare[3:-3].removeprefix("json").strip()
    return bare


def _no_constant(_name: str) -> NoReturn:
    raise ValueError

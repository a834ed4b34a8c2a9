"""What the simulator offers, written as JSON in the form of `tests/data/hailo_signatures.json`.

A program for a process on a simulated machine: `python -m tests.hailo_sim.surface`.
"""

from __future__ import annotations

import inspect
import json
from enum import Enum
from types import ModuleType
from typing import Any

CONSTRUCTED = ("VDevice", "Device", "VLM")
"""Classes that programs make themselves; how others are made is their library's own business."""


def parameters(function: Any) -> list[list[str | None]]:
    """Name, kind and default (as source text, None for none) of each parameter."""
    made = []
    for item in inspect.signature(function).parameters.values():
        default = None if item.default is item.empty else repr(item.default)
        made.append([item.name, item.kind.name.lower(), default])
    return made


def describe(kind: type) -> dict[str, Any]:
    """Public methods, properties and nested classes of a class."""
    methods, properties, nested = {}, [], {}
    for name, value in vars(kind).items():
        plain = value.__func__ if isinstance(value, (classmethod, staticmethod)) else value
        if name == "__init__" and kind.__name__ in CONSTRUCTED:
            methods[name] = parameters(plain)
        elif name.startswith("_"):
            continue
        elif isinstance(plain, property):
            properties.append(name)
        elif inspect.isclass(plain):
            nested[name] = describe(plain)
        elif inspect.isfunction(plain):
            methods[name] = parameters(plain)
    bases = [base.__name__ for base in kind.__bases__ if base is not object]
    return {"bases": bases, "methods": methods, "properties": sorted(properties), "nested": nested}


def surface() -> dict[str, Any]:
    """Everything that a program can see, of the version that the environment names."""
    import hailo_platform  # noqa: PLC0415 - only there on a simulated machine
    from hailo_platform import genai  # noqa: PLC0415
    from hailo_platform.pyhailort import _pyhailort, pyhailort  # noqa: PLC0415

    classes, enums = {}, {}
    for name in public(pyhailort):
        value = getattr(pyhailort, name)
        if inspect.isclass(value) and issubclass(value, Enum):
            enums[name] = sorted(value.__members__)
        elif inspect.isclass(value):
            classes[name] = describe(value)
    return {
        "classes": classes,
        "enums": enums,
        "exports": {
            module.__name__: public(module) for module in (hailo_platform, genai, pyhailort, _pyhailort)
        },
    }


def public(module: ModuleType) -> list[str]:
    """The names that a module offers."""
    return sorted(name for name in module.__all__ if not name.startswith("_"))


if __name__ == "__main__":
    print(json.dumps(surface()))

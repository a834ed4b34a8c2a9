"""What a service does in its engine's process before that gives up its rights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Prepared:
    """The engine's options, completed, and what it may read besides its model."""

    options: Mapping[str, Any]
    readable: Sequence[str] = ()


def prepared(function: str, options: Mapping[str, Any]) -> Prepared:
    """What `function` (`package.module:name`, see `EngineSpec.prepare`) makes of the options.

    Raises what an engine may raise on load.
    """
    if not function:
        return Prepared(options)
    made: Prepared = named(function)(options)
    return made


def named(function: str) -> Any:
    """The function `package.module:name`, whose module is imported now."""
    module, _, name = function.partition(":")
    return getattr(import_module(module), name)

"""Several models of one service, as its configuration names them, and how long each stays loaded."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hailo_common.config.schema import is_model_name, is_name

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"([0-9]{1,12}(?:\.[0-9]{0,9})?)(ns|us|µs|ms|s|m|h)")
_DURATION = re.compile(rf"-?(?:{_PART.pattern})+")
_SECONDS = re.compile(r"-?[0-9]{1,12}(\.[0-9]{0,9})?")


def keep_alive_s(text: str) -> float:
    """Seconds of a `keep_alive` as Ollama writes it: `10m`, `1h30m`, `90` (seconds); below 0 it is infinity.

    Raises ValueError.
    """
    if _SECONDS.fullmatch(text):
        seconds = float(text)
    elif _DURATION.fullmatch(text):
        seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    else:
        raise ValueError("not a duration")
    return math.inf if text.startswith("-") else seconds


@dataclass(frozen=True)
class ServedKey:
    """An entry of `models`: what clients call the model; `auto`, `demo`, `shapes`, a name or a folder."""

    name: str
    source: str
    keep_s: float


def is_served(text: str) -> bool:
    """True for an entry of `models`: MODEL or NAME=MODEL."""
    name, source = _split(text)
    return is_name(name) and (is_model_name(source) or source.startswith("/"))


def is_keep_alive(text: str) -> bool:
    """True for an entry of `model_keep_alive`: NAME=DURATION."""
    name, equals, duration = text.rpartition("=")
    try:
        keep_alive_s(duration)
    except ValueError:
        return False
    return bool(equals) and is_name(name)


def served_keys(models: Sequence[str], keep_alive: Sequence[str], keep_s: float) -> tuple[ServedKey, ...]:
    """The entries of `models`; those that `keep_alive` does not name stay `keep_s` seconds."""
    kept = {name: keep_alive_s(text) for name, _, text in (each.rpartition("=") for each in keep_alive)}
    return tuple(
        ServedKey(name, source, kept.get(name, keep_s)) for name, source in (_split(each) for each in models)
    )


def conflicts(
    models: Sequence[str], keep_alive: Sequence[str], model_dir: str
) -> Iterator[tuple[tuple[str, ...], str]]:
    """What is wrong with these keys together; see `BaseSettings.conflicts`."""
    names = [_split(each)[0].casefold() for each in models]
    if len(set(names)) < len(names):
        yield ("models",), "two models have one name; give one of them another: NAME=MODEL"
    if models and model_dir:
        yield ("model_dir", "models"), "one folder and several models; a folder may stand in models"
    unknown = [name for name, _, _ in (each.rpartition("=") for each in keep_alive)]
    if any(name.casefold() not in names for name in unknown):
        yield ("model_keep_alive",), "names a model that is not in models"


def _split(text: str) -> tuple[str, str]:
    """Name and source; a folder without a name goes by its own."""
    name, equals, source = text.partition("=")
    if text.startswith("/") or not equals:
        return text.rstrip("/").rpartition("/")[2], text
    return name, source

"""What may come next on the command line, from the same parsers that read it. For completions/hailo-ctl."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from hailo_common.config.common_keys import FETCH, installed_services, settings_of
from hailo_common.config.paths import Paths
from hailo_common.config.schema import ConfigKey
from hailo_common.errors import ConfigError
from hailo_common.models.manifest import load_catalogue

_SERVICES = ("name", "names", "services")
_KEYS = ("key", "keys", "assignments")


def complete(parser: argparse.ArgumentParser, words: Sequence[str]) -> list[str]:
    """What the last of `words` may become; nothing where only a person can know."""
    *before, begun = words or [""]
    given: list[str] = []
    for word in before:
        child = None if given else _commands(parser).get(word)
        if child is not None:
            parser = child
        elif not word.startswith("-"):
            given.append(word)
    found = _options(parser, before) if begun.startswith("-") else _values(parser, given, begun)
    return sorted(each for each in found if each.startswith(begun))


def _commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def _options(parser: argparse.ArgumentParser, before: Sequence[str]) -> list[str]:
    return [name for action in parser._actions for name in action.option_strings if name not in before]


def _values(parser: argparse.ArgumentParser, given: Sequence[str], begun: str) -> list[str]:
    if commands := _commands(parser):
        return list(commands)
    positional = [action for action in parser._actions if not action.option_strings]
    if not positional:
        return []
    action = positional[min(len(given), len(positional) - 1)]
    try:
        if "MODEL" in str(action.metavar):
            return list(load_catalogue(Paths()).models)
        if action.dest in _SERVICES:
            return [*installed_services(), FETCH]
        if action.dest in _KEYS and given:
            return _keys(given[0], begun, assign=action.dest == "assignments")
    except ConfigError:
        pass
    return []


def _keys(service: str, begun: str, *, assign: bool) -> list[str]:
    table = settings_of(service).table()
    name, equals, _ = begun.partition("=")
    if not assign:
        return [key.name for key in table]
    if equals:
        return [f"{name}={word}" for key in table if key.name == name for word in _words(key)]
    return [f"{key.name}=" for key in table]


def _words(key: ConfigKey) -> list[str]:
    allowed = key.rule.allowed
    if allowed.startswith("one of "):
        return allowed.removeprefix("one of ").split(", ")
    if allowed == "true or false":
        return ["true", "false"]
    return [*(["auto", "demo"] if key.name == "model" else []), *([] if key.secret else [str(key.default)])]

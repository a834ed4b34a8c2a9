"""`hailo-ctl config`: check the configuration and render it; config_values.py shows and changes it.

Rendering is part of every start of a service, so nothing is imported here that only people's commands need.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from hailo_common.cli.framework import (
    CommandError,
    Commands,
    add_root,
    complete_with,
    late,
    say,
    warn,
)
from hailo_common.config.announce import announcement, write_announcement
from hailo_common.config.common_keys import (
    DEMOS,
    FETCH,
    IMAGES,
    BaseSettings,
    CommonSettings,
    installed_services,
    settings_of,
)
from hailo_common.config.load import load, load_files
from hailo_common.config.paths import Paths
from hailo_common.config.render import addresses_of, dropins, render, write_dropins
from hailo_common.config.schema import ConfigKey
from hailo_common.errors import ConfigDeniedError, ConfigError

_SET_HELP = """\
Change values in /etc/hailo/NAME.yaml and nothing else in it: comments, quotes, order and mode stay.
The result is checked with the program's own loader first; if it does not pass, the file stays as it
is and the status is 78. A value that is the default already is not written. Lists are a,b,c.

  hailo-ctl config set hailo-vision port=8081 host=0.0.0.0
  hailo-ctl config set hailo-vision allowed_hosts=pi.local,camera.lan
  systemctl restart hailo-vision       # now it is in use
"""


class _UnitsError(ConfigError):
    """Drop-ins that cannot be written, or not now; the JSON is written, and the service may start with it."""


def define_config(parser: argparse.ArgumentParser) -> None:
    """`config` and its subcommands."""
    group = Commands(parser)
    _define_reading(group)
    _define_editing(group)
    check = group.command("check", "check the YAML files; status 78 for one that cannot be used", _check)
    help = "write the JSON that services read, and drop-ins for their units"
    rendering = group.command("render", help, _render)
    for each in (check, rendering):
        _add_names(each)
    _add_render_arguments(rendering)
    for each in (check, rendering):
        add_root(each)


def _define_reading(group: Commands) -> None:
    run = late("config_values:show_values")
    show = group.command("show", "print all values and where each comes from", run)
    get = group.command("get", "print one value", late("config_values:get_value"))
    for each in (show, get):
        _add_name(each)
    show.add_argument("--json", action="store_true", help="print name, value and source as JSON")
    complete_with(_keys, get.add_argument("key", metavar="KEY"))
    for each in (show, get):
        add_root(each)


def _define_editing(group: Commands) -> None:
    run = late("config_values:set_values")
    change = group.command("set", "change values, keeping everything else in the file", run, _SET_HELP)
    run = late("config_values:unset_values")
    unset = group.command("unset", "comment keys out, so that the default applies again", run)
    for each in (change, unset):
        _add_name(each)
    _add_set_arguments(change)
    complete_with(_keys, unset.add_argument("keys", nargs="+", metavar="KEY"))
    for each in (change, unset):
        _add_edit_arguments(each)
        add_root(each)


def _add_name(parser: argparse.ArgumentParser) -> None:
    name = parser.add_argument("name", metavar="NAME", help="hailo-vision, hailo-florence or hailo-fetch")
    complete_with(_names, name)


def _add_names(parser: argparse.ArgumentParser) -> None:
    names = parser.add_argument(
        "names", nargs="*", metavar="NAME", help="all that are installed, if none is given"
    )
    complete_with(_names, names)


def _add_set_arguments(parser: argparse.ArgumentParser) -> None:
    assignments = parser.add_argument(
        "assignments", nargs="*", metavar="KEY=VALUE", help="or, for one key: KEY VALUE"
    )
    complete_with(_assignments_begun, assignments)
    secret = parser.add_argument(
        "--stdin", metavar="KEY", help="read this key's value from standard input (for secrets)"
    )
    complete_with(_keys, secret)


def _add_edit_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quiet", action="store_true", help="print nothing about what changed")
    parser.add_argument("--file", type=Path, metavar="FILE", help="edit this file instead")


def _add_render_arguments(parser: argparse.ArgumentParser) -> None:
    service = parser.add_argument(
        "--service", action="append", default=[], metavar="NAME", help="the same as NAME"
    )
    complete_with(_names, service)
    parser.add_argument("--units", type=Path, metavar="DIR", help="also write UNIT.d/50-hailo.conf below DIR")
    parser.add_argument(
        "--avahi", type=Path, metavar="DIR", help="also write or remove NAME.service in DIR, if it exists"
    )


def _names(_prefix: str, _args: argparse.Namespace) -> list[str]:
    return [*_all_names(()), IMAGES]


def _keys(_prefix: str, args: argparse.Namespace) -> list[str]:
    return [key.name for key in settings_of(args.name).table()]


def _assignments_begun(prefix: str, args: argparse.Namespace) -> list[str]:
    """`KEY=` as long as a key is being typed, then `KEY=VALUE`."""
    table = settings_of(args.name).table()
    name, equals, _ = prefix.partition("=")
    if not equals:
        return [f"{key.name}=" for key in table]
    return [f"{name}={value}" for key in table if key.name == name for value in _values(key)]


def _values(key: ConfigKey) -> list[str]:
    allowed = key.rule.allowed
    if allowed.startswith("one of "):
        return allowed.removeprefix("one of ").split(", ")
    if allowed == "true or false":
        return ["true", "false"]
    return [*(["auto", *DEMOS] if key.name == "model" else []), *([] if key.secret else [str(key.default)])]


def _all_names(given: Sequence[str]) -> list[str]:
    return list(given) or [*installed_services(), FETCH]


def _check(args: argparse.Namespace) -> int:
    paths = Paths(root=args.root)
    return _for_each(args.names, lambda name: load(settings_of(name), name, paths))


def _render(args: argparse.Namespace) -> int:
    paths = Paths(root=args.root)
    return _for_each(
        [*args.names, *args.service], lambda name: _render_one(name, paths, args.units, args.avahi)
    )


def _for_each(names: Sequence[str], work: Callable[[str], object]) -> int:
    """Do the work for all names, then raise what was wrong with some."""
    problems: list[ConfigError] = []
    for name in _all_names(names):
        try:
            work(name)
        except ConfigError as error:
            problems.append(error)
    _raise_any(problems)
    return os.EX_OK


def _raise_any(problems: Sequence[ConfigError]) -> None:
    """One error of all problems, with the status of the worst one."""
    if not problems:
        return
    text = "\n".join(map(str, problems))
    if all(isinstance(each, _UnitsError) for each in problems):
        raise CommandError(text, os.EX_TEMPFAIL)
    denied = all(isinstance(each, ConfigDeniedError) for each in problems)
    raise (ConfigDeniedError if denied else ConfigError)(text)


def _render_one(name: str, paths: Paths, units: Path | None, avahi: Path | None) -> None:
    settings = load_files(settings_of(name), paths.layers(name))
    if render(settings, paths.rendered(name)):
        say(f"wrote {paths.rendered(name)}")
    for path in _write_dropins(name, settings, units) if units else ():
        say(f"wrote {path}")
    if avahi and isinstance(settings, CommonSettings):
        _announce(name, settings, avahi)


def _announce(name: str, settings: CommonSettings, folder: Path) -> None:
    try:
        content = announcement(name, settings, addresses_of(settings))
        if path := write_announcement(name, content, folder):
            say(f"{'wrote' if content else 'removed'} {path}")
    except ConfigError as error:
        # A service that nobody is told of still works.
        warn(str(error))


def _write_dropins(name: str, settings: BaseSettings, units: Path) -> list[Path]:
    try:
        return write_dropins(dropins(name, settings), units)
    except ConfigDeniedError:
        raise
    except ConfigError as error:
        raise _UnitsError(str(error)) from None

"""The command line of a service, built from its table of keys.

Exit statuses: 0, 2 for a wrong command line, 78 (EX_CONFIG) for a configuration that cannot be used.
"""

from __future__ import annotations

import argparse
import os
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, NoReturn, TypeVar

from hailo_common import __version__
from hailo_common.complaint import complain
from hailo_common.config.common_keys import DEMOS, BaseSettings, CommonSettings
from hailo_common.config.load import check_together, load, load_files, read_json_config
from hailo_common.config.paths import Paths
from hailo_common.config.schema import ConfigKey, shown
from hailo_common.errors import ConfigError

S = TypeVar("S", bound=CommonSettings)

_OPTIONS = {
    "model_dir": "--model",
    "backend": "--backend",
    "host": "--host",
    "port": "--port",
    "log_level": "--log-level",
}
_METAVARS = {"model_dir": "DIR", "backend": "auto|npu|cpu", "log_level": "LEVEL"}


@dataclass(frozen=True)
class CommandLine(Generic[S]):
    """What a service was started with."""

    settings: S
    demo: str
    """The demo model that `--demo` names; empty without it."""


def parse_command_line(
    service: str, settings: type[S], argv: Sequence[str] | None = None, places: Paths | None = None
) -> CommandLine[S]:
    """Checked settings, or SystemExit after --help, --version, --check-config, --dump-config and errors."""
    places = places or Paths()
    args = build_parser(service, settings, places).parse_args(argv)
    try:
        loaded = _with_arguments(_load(service, settings, args, places), args)
    except ConfigError as error:
        fail(_program(service), error)
    if args.check_config:
        raise SystemExit(os.EX_OK)
    if args.dump_config:
        print(dump(loaded))
        raise SystemExit(os.EX_OK)
    return CommandLine(loaded, args.demo)


def fail(program: str, error: ConfigError) -> NoReturn:
    """Print every problem and exit with status 78, which systemd does not answer with a restart."""
    complain(program, error)
    raise SystemExit(os.EX_CONFIG)


def dump(settings: BaseSettings) -> str:
    """The effective configuration as YAML, each value with its source."""
    lines = [f"{key.name}: {key.shown(getattr(settings, key.name))}" for key in settings.table()]
    width = min(48, max(map(len, lines)))
    sources = [settings.source(key.name) for key in settings.table()]
    return "\n".join(f"{line:<{width}}  # {source}" for line, source in zip(lines, sources, strict=True))


def build_parser(service: str, settings: type[CommonSettings], places: Paths) -> argparse.ArgumentParser:
    """The options that every service has; `--help` lists the keys with their defaults."""
    parser = argparse.ArgumentParser(
        prog=_program(service),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=f"Run {service}. Without --config and --demo it reads {places.rendered(service)}.",
        epilog=_keys_help(service, settings.table()),
        allow_abbrev=False,
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="read this YAML or rendered JSON instead")
    parser.add_argument(
        "--demo",
        nargs="?",
        const=DEMOS[0],
        default="",
        choices=DEMOS,
        help="use the demo model, or with --demo shapes the one of coloured shapes; needs no configuration",
    )
    keys = {key.name: key for key in settings.table()}
    for name, option in _OPTIONS.items():
        _add_key(parser, keys[name], option)
    parser.add_argument("--docs", action="store_true", default=None, help=keys["docs"].help)
    parser.add_argument("--check-config", action="store_true", help="check the YAML files (or FILE) and exit")
    parser.add_argument("--dump-config", action="store_true", help="print values and their sources and exit")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return parser


def _program(service: str) -> str:
    return f"{service}-server"


def _add_key(parser: argparse.ArgumentParser, key: ConfigKey, option: str) -> None:
    metavar = _METAVARS.get(key.name, key.name.upper())
    help = f"{key.help} ({key.rule.allowed})".replace("%", "%%")
    convert = _folder if key.name == "model_dir" else _converter(key)
    parser.add_argument(option, dest=key.name, type=convert, metavar=metavar, help=help)


def _converter(key: ConfigKey) -> Callable[[str], Any]:
    def convert(raw: str) -> Any:
        try:
            return key.convert(raw)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return convert


def _folder(raw: str) -> str:
    if not raw or not raw.isprintable():
        raise argparse.ArgumentTypeError("not the name of a folder")
    return str(Path(raw).absolute())


def _keys_help(service: str, keys: Sequence[ConfigKey]) -> str:
    lines = [f"keys of /etc/hailo/{service}.yaml and /etc/hailo/{service}.d/*.yaml, with their defaults:", ""]
    for key in keys:
        lines.append(f"  {key.name}: {shown(key.default)}")
        lines += textwrap.wrap(f"      {key.help} ({key.rule.allowed}).", 78, subsequent_indent=" " * 6)
    return "\n".join(lines)


def _load(service: str, settings: type[S], args: argparse.Namespace, places: Paths) -> S:
    if args.config is not None:
        return load_files(settings, [args.config])
    if args.demo:
        return settings()
    if args.check_config or args.dump_config:
        return load(settings, service, places)
    return read_json_config(settings, service, places)


def _with_arguments(settings: S, args: argparse.Namespace) -> S:
    names = (*_OPTIONS, "docs")
    given: dict[str, Any] = {name: value for name in names if (value := getattr(args, name)) is not None}
    sources = {**settings.sources, **dict.fromkeys(given, "command line")}
    changed = replace(settings, **given, sources=sources)
    check_together(changed)
    return changed

"""`hailo-ctl config show`, `get`, `set` and `unset`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from hailo_common.cli.framework import CommandError, print_json, say, warn
from hailo_common.config.command_line import dump
from hailo_common.config.common_keys import DEMOS, BaseSettings, settings_of
from hailo_common.config.edit import Editor, raw_value
from hailo_common.config.load import load, unknown_key
from hailo_common.config.paths import Paths
from hailo_common.config.schema import Raw, plain_json, quoted
from hailo_common.errors import ConfigError
from hailo_common.models.manifest import load_catalogue
from hailo_common.models.selection import AUTO


def show_values(args: argparse.Namespace) -> int:
    """`config show`."""
    settings = load(settings_of(args.name), args.name, Paths(root=args.root))
    if args.json:
        print_json([_row(settings, key.name) for key in settings.table()])
    else:
        say(dump(settings))
    return 0


def _row(settings: BaseSettings, name: str) -> dict[str, object]:
    key = next(key for key in settings.table() if key.name == name)
    value = getattr(settings, name)
    shown = key.shown(value) if key.secret else plain_json(value)
    return {"name": name, "value": shown, "source": settings.source(name)}


def get_value(args: argparse.Namespace) -> int:
    """`config get`."""
    kind = settings_of(args.name)
    names = [key.name for key in kind.table()]
    if args.key not in names:
        raise ConfigError(f"{args.key!r}: {unknown_key(args.key, names)}")
    value = getattr(load(kind, args.name, Paths(root=args.root)), args.key)
    if isinstance(value, tuple):
        for item in value:
            say(item)
    else:
        say(str(plain_json(value)).lower() if isinstance(value, bool) else str(plain_json(value)))
    return 0


def set_values(args: argparse.Namespace) -> int:
    """`config set`."""
    editor = _editor(args)
    wanted: dict[str, Raw | None] = {
        name: raw_value(editor.key(name), words) for name, words in _assignments(args.assignments)
    }
    if args.stdin:
        wanted[args.stdin] = raw_value(editor.key(args.stdin), sys.stdin.read(65536).strip("\n"))
    if not wanted:
        raise CommandError("nothing to set; see: hailo-ctl config set --help", 2)
    return _apply(args, editor, wanted)


def unset_values(args: argparse.Namespace) -> int:
    """`config unset`."""
    editor = _editor(args)
    return _apply(args, editor, {editor.key(name).name: None for name in args.keys})


def _editor(args: argparse.Namespace) -> Editor:
    return Editor(args.name, settings_of(args.name), Paths(root=args.root), args.file)


def _apply(args: argparse.Namespace, editor: Editor, wanted: dict[str, Raw | None]) -> int:
    for change in editor.apply(wanted):
        if not args.quiet:
            before, after = (text or "(default)" for text in (change.before, change.after))
            say(f"{editor.path}: {change.name}: {before} -> {after}")
        if change.overridden_by:
            warn(f"{change.name}: has no effect, because {change.overridden_by} takes precedence")
    _warn_of_unknown_model(args, wanted.get("model"))
    return 0


def _warn_of_unknown_model(args: argparse.Namespace, name: Raw | None) -> None:
    """Say that no manifest names the model: it may come later, or be a slip or another program's name."""
    if not isinstance(name, str) or name in (AUTO, *DEMOS):
        return
    known = load_catalogue(Paths(root=args.root)).models.values()
    names = [model.name for model in known if model.service == args.name]
    if name not in names:
        warn(
            f"model: {args.name} has no model {quoted(name)} and will not load it; it has {', '.join(names)}"
        )


def _assignments(words: Sequence[str]) -> list[tuple[str, str]]:
    if len(words) == 2 and "=" not in words[0]:
        return [(words[0], words[1])]
    pairs = [word.partition("=") for word in words]
    for name, equals, _ in pairs:
        if not equals:
            raise CommandError(f"{name!r} is not KEY=VALUE", 2)
    return [(name, value) for name, _, value in pairs]

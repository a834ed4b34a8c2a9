"""The manual pages, written from the same parsers and tables that the programs use.

`python -m tools.docs.manpages` in the source tree writes them to docs/man.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from hailo_common import __version__
from hailo_common.cli.main import build_parser
from hailo_common.cli.render_config import build_parser as render_parser
from hailo_common.config.command_line import build_parser as server_parser
from hailo_common.config.common_keys import FETCH, installed_services, service_settings, settings_of
from hailo_common.config.paths import Paths
from hailo_common.config.schema import ConfigKey, shown
from hailo_common.files import write_atomic
from tools.docs import roff
from tools.docs.manual_text import ABOUT, FILES, MANIFEST, SEE_ALSO, STATUS, YAML

_GROUPS = argparse._SubParsersAction


def manual_pages() -> dict[str, str]:
    """File name to content of every page."""
    pages = {"hailo-ctl.8": _tool(), "models.manifest.5": _manifest()}
    pages["hailo-render-config.8"] = _program(render_parser(), "check a service's YAML and write its JSON")
    for service in installed_services():
        parser = server_parser(service, service_settings(service), Paths())
        parser.epilog = None
        pages[f"{service}-server.8"] = _program(parser, f"the program of {service}.service")
    for name in (*installed_services(), FETCH):
        pages[f"{name}.yaml.5"] = _yaml(name)
    return pages


def write_pages(tree: Path) -> list[Path]:
    """Write docs/man of a source tree."""
    folder = tree / "docs" / "man"
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, text in manual_pages().items():
        write_atomic(folder / name, text.encode())
        paths.append(folder / name)
    return paths


def commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The parsers of all commands that do something, in the order of the help."""
    groups = [action for action in parser._actions if isinstance(action, _GROUPS)]
    if not groups:
        yield parser
    for group in groups:
        for child in group.choices.values():
            yield from commands(child)


def _head(name: str, section: int, about: str) -> list[str]:
    return [
        roff.title(name, section, __version__),
        roff.heading("name"),
        f"{roff.escape(name)} \\- {roff.escape(about)}",
    ]


def _tool() -> str:
    parser = build_parser()
    parts = [
        *_head("hailo-ctl", 8, "configure, check and feed hailo-vision and hailo-florence"),
        roff.heading("synopsis"),
    ]
    for command in commands(parser):
        parts += [_usage(command), ".br"]
    parts += [roff.heading("description"), roff.paragraphs(ABOUT), roff.heading("commands")]
    for command in commands(parser):
        parts += [
            roff.subheading(command.prog),
            roff.paragraphs(command.description or ""),
            *_options(command),
        ]
    parts += [*_list("exit status", STATUS), *_list("files", FILES), *_see_also("hailo-ctl(8)")]
    return roff.page(parts)


def _program(parser: argparse.ArgumentParser, about: str) -> str:
    parts = [
        *_head(parser.prog, 8, about),
        roff.heading("synopsis"),
        _usage(parser),
        roff.heading("description"),
    ]
    parts += [roff.paragraphs(parser.description or ""), roff.heading("options"), *_options(parser)]
    return roff.page([*parts, *_see_also(f"{parser.prog}(8)")])


def _yaml(name: str) -> str:
    parts = [*_head(f"{name}.yaml", 5, f"configuration of {name}"), roff.heading("description")]
    parts += [roff.paragraphs(YAML.replace("NAME", name)), roff.heading("keys")]
    parts += [
        roff.item(f"{key.name}: {shown(key.default)}", _key_text(key)) for key in settings_of(name).table()
    ]
    return roff.page([*parts, *_see_also(f"{name}.yaml(5)")])


def _key_text(key: ConfigKey) -> str:
    unit = f", in {key.unit}" if key.unit else ""
    return f"{key.help}{unit}. Must be {key.rule.allowed}."


def _manifest() -> str:
    parts = _head("models.manifest", 5, "models that the Hailo services can use, and where they come from")
    parts += [roff.heading("description"), roff.paragraphs(MANIFEST)]
    return roff.page([*parts, *_see_also("models.manifest(5)")])


def _usage(parser: argparse.ArgumentParser) -> str:
    usage = " ".join(parser.format_usage().removeprefix("usage:").split())
    rest = usage.removeprefix(parser.prog)
    return roff.bold(parser.prog) + roff.escape(re.sub(r"\[-h\] ?", "", rest).rstrip())


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        if action.dest in ("help",) or not action.help or action.help == argparse.SUPPRESS:
            continue
        metavar = action.metavar if isinstance(action.metavar, str) else ""
        names = ", ".join(action.option_strings)
        term = " ".join(filter(None, [names, metavar])) or action.dest
        yield roff.item(term, action.help.replace("%%", "%").replace("%(prog)s", parser.prog))


def _list(title: str, terms: dict[str, str]) -> list[str]:
    return [roff.heading(title), *(roff.item(term, text) for term, text in terms.items())]


def _see_also(own: str) -> list[str]:
    return [roff.heading("see also"), roff.escape(", ".join(page for page in SEE_ALSO if page != own))]


if __name__ == "__main__":
    for written in write_pages(Path.cwd()):
        print(written, file=sys.stderr)

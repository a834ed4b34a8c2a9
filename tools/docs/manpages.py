"""The manual pages, from the parsers and tables that the programs use: `python -m tools.docs.manpages`.

Section 8 (programs) is argparse-manpage's work; section 5 (files) is written here. Both go to docs/man.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from argparse_manpage.manpage import Manpage

from hailo_common import __version__
from hailo_common.cli.main import build_parser
from hailo_common.cli.render_config import build_parser as render_parser
from hailo_common.config.command_line import build_parser as server_parser
from hailo_common.config.common_keys import FETCH, IMAGES, installed_services, service_settings, settings_of
from hailo_common.config.paths import Paths
from hailo_common.config.schema import shown
from hailo_common.files import write_atomic
from tools.docs.configuration import described
from tools.docs.manual_text import ABOUT, FILES, MANIFEST, SEE_ALSO, STATUS, YAML

_GROUPS = argparse._SubParsersAction


def manual_pages() -> dict[str, str]:
    """File name to content of every page."""
    pages = {"hailo-ctl.8": _tool(), "models.manifest.5": _manifest()}
    pages["hailo-render-config.8"] = _program(render_parser(), "check a service's YAML and write its JSON")
    for service in installed_services():
        parser = server_parser(service, service_settings(service), Paths())
        pages[f"{service}-server.8"] = _program(parser, f"the program of {service}.service")
    for name in (*installed_services(), FETCH, IMAGES):
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


def _tool() -> str:
    parser = build_parser()
    sections = {
        "synopsis": "\n.br\n".join(_usage(command) for command in commands(parser)),
        "description": paragraphs(ABOUT) + "\n.PP",
        "exit status": _items(STATUS),
        "files": _items(FILES),
    }
    return _program(parser, "configure, check and feed hailo-vision and hailo-florence", sections)


def _program(parser: argparse.ArgumentParser, about: str, sections: Mapping[str, str] | None = None) -> str:
    """The page of a program; its sections come after those that argparse-manpage makes of the parser."""
    parser.epilog = None
    with _fixed_width():
        page = Manpage(parser, format="single-commands-section")
        # No date: a page must not change with the day on which it is made.
        page.date, page.source, page.manual = "", f"hailo-appliance {__version__}", "hailo-appliance"
        page.section, page.description = 8, about
        own = {"synopsis": _usage(parser), **(sections or {}), "see also": _see_also(f"{parser.prog}(8)")}
        for heading, content in own.items():
            page.add_section(heading, "=", content)
        return str(page)


@contextlib.contextmanager
def _fixed_width() -> Iterator[None]:
    """argparse wraps to the terminal, and a page must not change with that either."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "80"
    try:
        yield
    finally:
        del os.environ["COLUMNS"]
        if before is not None:
            os.environ["COLUMNS"] = before


def _usage(parser: argparse.ArgumentParser) -> str:
    usage = " ".join(parser.format_usage().removeprefix("usage:").split())
    rest = usage.removeprefix(parser.prog)
    return _bold(parser.prog) + escape(re.sub(r"\[-h\] ?", "", rest).rstrip())


def _yaml(name: str) -> str:
    keys = {f"{key.name}: {shown(key.default)}": described(key) for key in settings_of(name).table()}
    sections = {"description": paragraphs(YAML.replace("NAME", name)), "keys": _items(keys)}
    return _file_page(f"{name}.yaml", f"configuration of {name}", sections)


def _manifest() -> str:
    about = "models that the Hailo services can use, and where they come from"
    return _file_page("models.manifest", about, {"description": paragraphs(MANIFEST)})


def _file_page(name: str, about: str, sections: Mapping[str, str]) -> str:
    """A page of section 5 in man(7)."""
    parts = [f'.TH "{escape(name.upper())}" 5 "" "hailo\\-appliance {__version__}"']
    named = {"name": f"{escape(name)} \\- {escape(about)}", **sections, "see also": _see_also(f"{name}(5)")}
    for heading, content in named.items():
        parts += [f".SH {escape(heading.upper())}", content]
    return "\n".join(parts) + "\n"


def _see_also(own: str) -> str:
    return escape(", ".join(page for page in SEE_ALSO if page != own))


def _items(terms: Mapping[str, str]) -> str:
    return "\n".join(f".TP\n{_bold(term)}\n{escape(text)}" for term, text in terms.items())


def _bold(text: str) -> str:
    return f"\\fB{escape(text)}\\fR"


def escape(text: str) -> str:
    """Text as roff takes it literally; hyphens stay ASCII, so that options can be copied."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("`", "")
    return "\n".join("\\&" + line if line.startswith((".", "'")) else line for line in escaped.split("\n"))


def paragraphs(text: str) -> str:
    """Running text, with lines that begin with two spaces kept as they are."""
    lines: list[str] = []
    kept = False
    for line in text.strip("\n").split("\n"):
        if line.startswith("  ") != kept:
            kept = not kept
            lines.append(".RS 2\n.nf" if kept else ".fi\n.RE")
        if line.strip():
            lines.append(escape(line.strip() if not kept else line[2:]))
        elif not kept:
            lines.append(".PP")
    if kept:
        lines.append(".fi\n.RE")
    return "\n".join(lines)


if __name__ == "__main__":
    for written in write_pages(Path.cwd()):
        print(written, file=sys.stderr)

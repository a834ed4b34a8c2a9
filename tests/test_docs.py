"""The documents lead somewhere: links, paths that they name, threats that tests name."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = (
    *("hailo_common", "hailo_florence", "hailo_vision", "tests", "training", "tools", "fleet"),
    *("conf", "debian", "docs", "packaging", "completions"),
)
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")
PATH = re.compile(rf"(?:{'|'.join(ROOMS)})/[\w./*-]*")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
THREAT = re.compile(r'"([A-L]\d{1,2})[- ]')
_BUILT = frozenset(("build", "dist", "node_modules"))
PAST = {"CHANGELOG.md"}
"""Pages that also name what is no longer there."""
COMING: tuple[str, ...] = ()
"""Rooms that the documents name already while they are being built."""


def pages() -> list[Path]:
    """Every Markdown page of the source tree, without what was built or installed into it.

    Folders that begin with a dot are not entered: roots of other systems lie there, and processes in them.
    """
    found: list[Path] = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name[0] != "." and name not in _BUILT]
        found += [Path(folder, name).relative_to(ROOT) for name in names if name.endswith(".md")]
    return sorted(found)


def prose(page: Path) -> str:
    return FENCE.sub("", (ROOT / page).read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """The names under which a page's headings can be linked to."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path) -> Iterator[str]:
    for link in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (ROOT / page).parent / name if name else ROOT / page
        if not target.exists() or (anchor and anchor not in anchors(target.resolve().relative_to(ROOT))):
            yield link


def missing_paths(page: Path) -> Iterator[str]:
    for code in CODE.findall(prose(page)):
        if PATH.fullmatch(code) and not code.startswith(COMING) and not any(ROOT.glob(code.rstrip("/"))):
            yield code


@pytest.mark.parametrize("page", pages(), ids=str)
def test_links_lead_somewhere(page: Path) -> None:
    assert list(broken_links(page)) == []


@pytest.mark.parametrize("page", [page for page in pages() if page.name not in PAST], ids=str)
def test_paths_exist(page: Path) -> None:
    assert list(missing_paths(page)) == []


def test_threats_that_tests_name_are_in_the_table() -> None:
    table = set(re.findall(r"^\| ([A-L]\d+) \|", prose(Path("tests/threats.md")), re.MULTILINE))
    named = {
        threat
        for path in (ROOT / "tests").rglob("*.py")
        for threat in THREAT.findall(path.read_text(encoding="utf-8"))
    }
    assert {"A1", "B1", "C1"} <= named <= table


def test_every_package_is_listed() -> None:
    listed = prose(Path("docs/packages.md"))
    for control in (ROOT / "debian/control", *(ROOT / "packaging").glob("*/debian/control")):
        for name in re.findall(r"^Package: (\S+)$", control.read_text(encoding="utf-8"), re.MULTILINE):
            assert re.search(rf"^\|.*\b{name}\b.*\|", listed, re.MULTILINE), name

"""Manual pages in man(7): escapes, headings, paragraphs, lists. Knows nothing of what is documented."""

from __future__ import annotations

from collections.abc import Iterable


def escape(text: str) -> str:
    """Text as roff takes it literally; hyphens stay ASCII, so that options can be copied."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("`", "")
    return "\n".join("\\&" + line if line.startswith((".", "'")) else line for line in escaped.split("\n"))


def title(name: str, section: int, version: str) -> str:
    """The first line. No date: a page must not change with the day on which it is built."""
    return f'.TH "{escape(name.upper())}" {section} "" "hailo\\-appliance {version}"'


def heading(text: str) -> str:
    """A section."""
    return f".SH {escape(text.upper())}"


def subheading(text: str) -> str:
    """A section below a section."""
    return f'.SS "{escape(text)}"'


def bold(text: str) -> str:
    """A piece of a line in bold."""
    return f"\\fB{escape(text)}\\fR"


def item(term: str, text: str) -> str:
    """A term and what it means."""
    return f".TP\n{bold(term)}\n{escape(text)}"


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
        else:
            lines.append(".PP" if not kept else "")
    if kept:
        lines.append(".fi\n.RE")
    return "\n".join(lines)


def page(parts: Iterable[str]) -> str:
    """The parts as a file."""
    return "\n".join(part for part in parts if part) + "\n"

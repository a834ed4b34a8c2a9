"""Sizes as the kernel tells them: `/proc/meminfo`, and `smaps_rollup` of a process."""

from __future__ import annotations

import re

_LINE = re.compile(r"^(\w+):\s+(\d+) kB", re.MULTILINE)


def sizes(text: str) -> dict[str, int]:
    """Bytes by name, of the lines that tell any: `MemTotal:  8000000 kB`."""
    return {name: int(kilobytes) * 1024 for name, kilobytes in _LINE.findall(text)}

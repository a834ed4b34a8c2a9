"""Which model a folder holds, in sixteen digits: to see at a glance that all nodes have the same one.

It tells models apart and proves nothing: of a large file it reads the size, the beginning and the end.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

_PART = 1 << 20
_DEEPEST = 3


def fingerprint(folder: Path) -> str:
    """Sixteen hexadecimal digits of names and contents of all files that are not hidden."""
    digest = hashlib.sha256()
    for path in sorted(_files(folder, _DEEPEST), key=lambda path: path.relative_to(folder).as_posix()):
        size = path.stat().st_size
        digest.update(f"{path.relative_to(folder).as_posix()}\n{size}\n".encode())
        with path.open("rb") as file:
            digest.update(file.read(_PART))
            if size > _PART:
                file.seek(max(size - _PART, _PART))
                digest.update(file.read(_PART))
    return digest.hexdigest()[:16]


def _files(folder: Path, depth: int) -> list[Path]:
    found = []
    for entry in folder.iterdir():
        if entry.name.startswith("."):
            continue
        if entry.is_dir() and depth:
            found += _files(entry, depth - 1)
        elif entry.is_file():
            found.append(entry)
    return found

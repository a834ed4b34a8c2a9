"""Whether a model's files are what they were when they arrived, and how the fetcher hears where they are not.

A service reads the store and may not change it. It asks with a file in `.damaged`, named like the model's
folder; a unit starts the fetcher then, which believes none of it: it reads the files itself.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from hailo_common.models.store import hash_file, identity, read_notes

COMPLAINTS = ".damaged"


@dataclass(frozen=True)
class Damage:
    """A file that is not what arrived; `found` is its checksum, or why there is none."""

    path: str
    expected: str
    found: str

    def text(self) -> str:
        """For the journal and `/health`."""
        return f"{self.path}: {self.found} instead of SHA-256 {self.expected[:16]}\u2026"


class FileCheck:
    """Compares files with their notes in the store; what it has hashed it does not hash again."""

    def __init__(self) -> None:
        self._hashed: dict[Path, tuple[list[int], str]] = {}

    def touched(self, folder: Path) -> bool:
        """Whether a file has another size, time or inode than when it arrived; costs next to nothing."""
        return any(_identity(folder / path) != note[:3] for path, note in read_notes(folder).items())

    def damaged(self, folder: Path, *, thorough: bool) -> list[Damage]:
        """The files of a model that are not what arrived; of files without a note nothing is known.

        `thorough` reads all of them, else only those that look touched. It may take seconds.
        """
        found = []
        for path, (*before, expected) in sorted(read_notes(folder).items()):
            now = _identity(folder / path)
            if now is None:
                found.append(Damage(path, expected, "it is missing"))
            elif thorough or now != before:
                digest = self._digest(folder / path, now, thorough)
                if digest != expected:
                    found.append(Damage(path, expected, f"SHA-256 {digest[:16]}\u2026"))
        return found

    def _digest(self, path: Path, now: list[int], thorough: bool) -> str:
        before, digest = self._hashed.get(path, ([], ""))
        if thorough or now != before:
            try:
                digest = hash_file(path)
            except OSError as error:
                # A disk that fails: not kept, it may read the file the next time.
                return f"(cannot be read: {error.strerror})"
            self._hashed[path] = now, digest
        return digest


def _identity(path: Path) -> list[int] | None:
    try:
        return identity(path)
    except OSError:
        return None


def complain(folder: Path) -> bool:
    """Ask the fetcher to look at the model in `folder`; False where there is none that could be asked."""
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        os.close(os.open(folder.parent / COMPLAINTS / folder.name, flags, 0o600))
    except OSError:
        return False
    return True


def take_complaints(store: Path) -> set[str]:
    """The names of the models that services ask about, once. Needs the rights of the store's owner."""
    names: set[str] = set()
    with contextlib.suppress(OSError):
        for entry in list((store / COMPLAINTS).iterdir()):
            entry.unlink()
            names.add(entry.name)
    return names

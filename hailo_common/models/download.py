"""Brings one file from one place to its part file: resumed, hashed while it arrives, checked before use.

The name of a part file says which content it holds, so what an earlier run left is continued only if it is
the same.
"""

from __future__ import annotations

import hashlib
import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hailo_common.files import size_text
from hailo_common.models.http import Told, TransferError
from hailo_common.models.manifest import Model, ModelFile
from hailo_common.models.progress import Progress
from hailo_common.models.sanity import check_content, check_size, most_bytes
from hailo_common.models.sources import Source, Stream
from hailo_common.models.store import Store

_PROGRESS = 64 * 1024
"""So many bytes more than ever before make a broken transfer one that gets on."""
_LONGEST_PAUSE_S = 30.0
_READ = 1 << 20


@dataclass(frozen=True)
class Arrived:
    """A whole file under its part name, hashed."""

    part: Path
    sha256: str
    size: int


@dataclass(frozen=True)
class DownloadTimeouts:
    """How often a place is tried while nothing comes, and how long the first pause is."""

    tries: int
    first_pause_s: float = 1.0


@dataclass(frozen=True)
class Goal:
    """What is to be brought: a model's file, and its checksum if that is known."""

    store: Store
    model: Model
    file: ModelFile
    digest: str | None
    progress: Progress
    room: Callable[[int], None]
    """Raises when so many more bytes have no room."""


class Download:
    """One file on its way into the store."""

    def __init__(self, goal: Goal, patience: DownloadTimeouts) -> None:
        self._goal = goal
        self._patience = patience

    def bring(self, source: Source) -> Arrived:
        """Everything from this place.

        TransferError when the place does not give the file, OSError when it cannot be kept.
        """
        failures, furthest = 0, 0
        while True:
            attempt = _Attempt(self._goal)
            try:
                return attempt.run(source)
            except TransferError as error:
                # Counted from the furthest point, for servers that always begin anew and never get there.
                further = attempt.reached - furthest >= _PROGRESS
                failures, furthest = 1 if further else failures + 1, max(furthest, attempt.reached)
                if error.again != "now":
                    raise
                if failures >= self._patience.tries:
                    raise TransferError(f"{error} (tried {failures} times)", "later") from None
            pause = min(self._patience.first_pause_s * 2 ** (failures - 1), _LONGEST_PAUSE_S)
            time.sleep(pause * random.uniform(0.5, 1.0))


class _Attempt:
    def __init__(self, goal: Goal) -> None:
        self._goal, self._file, self._digest = goal, goal.file, goal.digest
        self._progress = goal.progress
        self._label = f"{goal.model.name}/{goal.file.path}"
        self._part = Path()
        self._hash = hashlib.sha256()
        self._have = 0
        self.reached = 0

    def run(self, source: Source) -> Arrived:
        stream = None if self._digest else source.open(0)
        try:
            resumed = self._take_part(self._digest or _token(source, stream))
            if self._whole():
                return self._arrived()
            if stream is not None and self._have and self._have == stream.told.size:
                return self._checked(stream.told, resumed)
            if stream is None or self._have:
                first, stream = stream, self._reopen(source, stream)
                self._same(first, stream)
            self._receive(stream)
            return self._checked(stream.told, resumed)
        finally:
            if stream is not None:
                stream.close()

    def _take_part(self, token: str) -> bool:
        """Go on with what an earlier run left of the same content."""
        self._part = self._goal.store.part(self._goal.model, self._file, token)
        self._part.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        if self._part.is_file() and not self._part.is_symlink():
            with self._part.open("rb", buffering=0) as file:
                while block := file.read(_READ):
                    self._hash.update(block)
                    self._have += len(block)
        if self._have > most_bytes(self._file):
            self._restart()
        return self._have > 0

    def _whole(self) -> bool:
        return self._have > 0 and self._digest == self._hash.hexdigest()

    def _arrived(self) -> Arrived:
        return Arrived(self._part, self._hash.hexdigest(), self._have)

    def _reopen(self, source: Source, stream: Stream | None) -> Stream:
        if stream is not None:
            stream.close()
        try:
            return source.open(self._have)
        except TransferError as error:
            if error.size is None:
                raise
        # As many bytes are here as the place has, or more, and they are not the file: begin anew.
        self._restart()
        return source.open(0)

    def _same(self, first: Stream | None, stream: Stream) -> None:
        if stream.told.start != self._have or (first and first.told.validator != stream.told.validator):
            if stream.told.start:
                self._restart()
                raise TransferError("changed the file while it was read", "now")
            self._restart()

    def _restart(self) -> None:
        self._part.unlink(missing_ok=True)
        self._hash, self._have = hashlib.sha256(), 0

    def _receive(self, stream: Stream) -> None:
        told = stream.told
        check_size(self._file, told.size)
        if self._digest and told.sha256 and told.sha256 != self._digest:
            raise TransferError(f"has another file now, with SHA-256 {told.sha256}", "never")
        self._goal.room((told.size or self._file.expected) - self._have)
        self._progress.begin(self._label, self._have, told.size)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(self._part, flags, 0o644)
        try:
            while block := stream.read():
                self._write(fd, block)
        finally:
            self._progress.end()
            os.close(fd)
        if told.size is not None and self._have < told.size:
            raise TransferError(f"broke off after {size_text(self._have)} of {size_text(told.size)}", "now")

    def _write(self, fd: int, block: bytes) -> None:
        if self._have + len(block) > most_bytes(self._file):
            self._restart()
            raise TransferError("sends more than the file can have", "never")
        view = memoryview(block)
        while view:
            view = view[os.write(fd, view) :]
        self._hash.update(block)
        self._have += len(block)
        self.reached = max(self.reached, self._have)
        self._progress.advance(len(block))

    def _checked(self, told: Told, resumed: bool) -> Arrived:
        found = self._hash.hexdigest()
        expected = self._digest or told.sha256 or found
        if found == expected:
            try:
                if self._digest is None:
                    check_content(self._file, self._part)
            except TransferError:
                self._restart()
                raise
            return self._arrived()
        have = self._have
        self._restart()
        text = f"gave {have} bytes with SHA-256 {found} instead of {expected}"
        # What an earlier run left may have been spoilt on the disk; once more from the beginning tells.
        raise TransferError(text, "now" if resumed else "never")


def _token(source: Source, stream: Stream | None) -> str:
    """Names the content of a file without checksum: the same place and the same validator."""
    told = stream.told if stream else None
    validator = told.validator if told and told.validator else f"{time.monotonic_ns()}"
    return hashlib.sha256(f"{source.name}\n{validator}".encode()).hexdigest()

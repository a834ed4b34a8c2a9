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
from hailo_common.models.content import check_content, check_size, max_bytes
from hailo_common.models.http import FileInfo, TransferError
from hailo_common.models.manifest import Model, ModelFile
from hailo_common.models.progress import Progress
from hailo_common.models.refused import Refused
from hailo_common.models.sources import Source, Stream
from hailo_common.models.store import Store

_PROGRESS = 64 * 1024
"""So many bytes more than ever before make a broken transfer one that gets on."""
_MAX_PAUSE_S = 30.0
_READ = 1 << 20
_LOOK = 32 << 20
"""So many bytes between two looks at the free space."""


@dataclass(frozen=True)
class DownloadedFile:
    """A complete file under its part name, hashed."""

    part: Path
    sha256: str
    size: int


@dataclass(frozen=True)
class RetryPolicy:
    """How often a place is tried while nothing comes, and how long the first pause is."""

    tries: int
    first_pause_s: float = 1.0


@dataclass(frozen=True)
class DownloadRequest:
    """What is to be brought: a model's file, and its checksum if that is known."""

    store: Store
    model: Model
    file: ModelFile
    digest: str | None
    progress: Progress
    check_space: Callable[[int], None]
    """Raises when so many more bytes have no room."""
    refused: Refused
    """What earlier runs refused."""


class Download:
    """One file on its way into the store."""

    def __init__(self, request: DownloadRequest, policy: RetryPolicy) -> None:
        self._request = request
        self._policy = policy

    def fetch(self, source: Source) -> DownloadedFile:
        """The complete file from this place.

        TransferError when the place does not give the file, OSError when it cannot be kept.
        """
        failures, furthest = 0, 0
        seen: set[str] = set()
        while True:
            attempt = _Attempt(self._request, seen)
            try:
                return attempt.run(source)
            except TransferError as error:
                # Counted from the furthest point, for servers that always begin anew and never get there.
                further = attempt.reached - furthest >= _PROGRESS
                failures, furthest = 1 if further else failures + 1, max(furthest, attempt.reached)
                if error.retry != "now":
                    raise
                if failures >= self._policy.tries:
                    raise TransferError(f"{error} (tried {failures} times)", "later") from None
            pause = min(self._policy.first_pause_s * 2 ** (failures - 1), _MAX_PAUSE_S)
            time.sleep(pause * random.uniform(0.5, 1.0))


class _Attempt:
    def __init__(self, request: DownloadRequest, seen: set[str]) -> None:
        """`seen` are the checksums of what this place gave without telling its end."""
        self._request, self._file, self._digest = request, request.file, request.digest
        self._seen = seen
        self._source = ""
        self._progress = request.progress
        self._label = f"{request.model.name}/{request.file.path}"
        self._part = Path()
        self._hash = hashlib.sha256()
        self._have = 0
        self.reached = 0

    def run(self, source: Source) -> DownloadedFile:
        self._source = source.name
        stream = None if self._digest else source.open(0)
        try:
            if stream is not None:
                self._look(stream.info)
            resumed = self._take_part(self._digest or _token(source, stream))
            if self._complete():
                return self._downloaded()
            if stream is not None and self._have and self._have == stream.info.size:
                return self._checked(stream.info, resumed)
            if stream is None or self._have:
                first, stream = stream, self._reopen(source, stream)
                self._require_same(first, stream)
            self._receive(stream)
            return self._checked(stream.info, resumed)
        finally:
            if stream is not None:
                stream.close()

    def _take_part(self, token: str) -> bool:
        """Go on with what an earlier run left of the same content; other parts of the file go."""
        store, model = self._request.store, self._request.model
        self._part = store.part(model, self._file, token)
        self._part.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        for other in store.parts(model, self._file) - {self._part}:
            other.unlink(missing_ok=True)
        if self._part.is_file() and not self._part.is_symlink():
            with self._part.open("rb", buffering=0) as file:
                while block := file.read(_READ):
                    self._hash.update(block)
                    self._have += len(block)
        if self._have > max_bytes(self._file):
            self._restart()
        return self._have > 0

    def _complete(self) -> bool:
        return self._have > 0 and self._digest == self._hash.hexdigest()

    def _downloaded(self) -> DownloadedFile:
        return DownloadedFile(self._part, self._hash.hexdigest(), self._have)

    def _reopen(self, source: Source, stream: Stream | None) -> Stream:
        if stream is not None:
            stream.close()
        # Twice: the address that refused may have been one that expires.
        for _ in range(2):
            try:
                return source.open(self._have)
            except TransferError as error:
                if not self._have or not error.no_resume:
                    raise
        # The part is given up only for a place that gives the whole file.
        whole = source.open(0)
        self._restart()
        return whole

    def _require_same(self, first: Stream | None, stream: Stream) -> None:
        if stream.info.start != self._have or (first and first.info.validator != stream.info.validator):
            if stream.info.start:
                self._restart()
                raise TransferError("changed the file while it was read", "now")
            self._restart()

    def _restart(self) -> None:
        self._part.unlink(missing_ok=True)
        self._hash, self._have = hashlib.sha256(), 0

    def _receive(self, stream: Stream) -> None:
        info = stream.info
        self._look(info)
        self._request.check_space((info.size or self._file.expected) - self._have)
        self._progress.begin(self._label, self._have, info.size)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(self._part, flags, 0o644)
        try:
            while block := stream.read():
                self._write(fd, block, info.size)
        finally:
            self._progress.end()
            os.close(fd)
        if info.size is not None and self._have < info.size:
            raise TransferError(f"broke off after {size_text(self._have)} of {size_text(info.size)}", "now")

    def _look(self, info: FileInfo) -> None:
        """TransferError for what need not be brought to know that it is not the file."""
        check_size(self._file, info.size)
        if self._digest and info.sha256 and info.sha256 != self._digest:
            raise TransferError(f"has another file now, with SHA-256 {info.sha256}", "never")
        if reason := self._request.refused.reason(self._source, self._digest, info):
            raise TransferError(f"still has what was refused before: {reason}", "never")

    def _refuse(self, info: FileInfo, error: TransferError) -> TransferError:
        self._restart()
        self._request.refused.add(self._source, self._digest, info, str(error))
        return error

    def _write(self, fd: int, block: bytes, size: int | None) -> None:
        if self._have + len(block) > max_bytes(self._file):
            self._restart()
            raise TransferError("sends more than the file can have", "never")
        if self._have // _LOOK != (self._have + len(block)) // _LOOK:
            # Others write to this disk, too.
            self._request.check_space((size or self._have) - self._have)
        view = memoryview(block)
        while view:
            view = view[os.write(fd, view) :]
        self._hash.update(block)
        self._have += len(block)
        self.reached = max(self.reached, self._have)
        self._progress.advance(len(block))

    def _checked(self, info: FileInfo, resumed: bool) -> DownloadedFile:
        found = self._hash.hexdigest()
        expected = self._digest or info.sha256 or found
        if found != expected:
            text = f"gave {self._have} bytes with SHA-256 {found} instead of {expected}"
            if resumed:
                # What an earlier run left may be damaged on the disk; once more from the beginning tells.
                self._restart()
                raise TransferError(text, "now")
            raise self._refuse(info, TransferError(text, "never"))
        if self._digest is None:
            self._check_unstated(info, found)
        return self._downloaded()

    def _check_unstated(self, info: FileInfo, found: str) -> None:
        try:
            seen = check_content(self._file, self._part, self._request.model.hailort)
        except TransferError as error:
            raise self._refuse(info, error) from None
        told = info.ends or info.sha256 or self._file.size
        if not told and found not in self._seen:
            self._seen.add(found)
            self._restart()
            raise TransferError("tells neither length nor checksum; it must give the same twice", "now")
        if seen:
            self._progress.say(f"{self._label}: {seen}")


def _token(source: Source, stream: Stream | None) -> str:
    """Names the content of a file without checksum: the same place and the same validator."""
    info = stream.info if stream else None
    validator = info.validator if info and info.validator else f"{time.monotonic_ns()}"
    return hashlib.sha256(f"{source.name}\n{validator}".encode()).hexdigest()

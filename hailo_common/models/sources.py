"""The places a file can come from, in the order they are tried: mirror, peers, then the publisher."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, urlsplit

from hailo_common.models.http import FileInfo, TransferError, Web
from hailo_common.models.manifest import Model, ModelFile
from hailo_common.models.settings import FetchSettings

_BLOCK = 1 << 18


class Stream(Protocol):
    """A file that is being read from one byte on."""

    @property
    def info(self) -> FileInfo:
        """What is known of it before its bytes."""

    def read(self) -> bytes:
        """The next bytes, empty at the end."""

    def close(self) -> None:
        """No more of it."""


class Source(Protocol):
    """One place where a file may be."""

    @property
    def name(self) -> str:
        """The place, for people: no password, no signature."""

    def open(self, start: int) -> Stream:
        """The file from byte `start` on; raises TransferError."""


@dataclass(frozen=True)
class UrlSource:
    """A file behind a URL."""

    web: Web
    url: str
    trusted: Callable[[str], bool] | None = None
    """Asks whether a host may be asked, None for any."""

    @property
    def name(self) -> str:
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}{parts.path}"

    def open(self, start: int) -> Stream:
        return self.web.open(self.url, start, self.trusted)


@dataclass(frozen=True)
class FolderSource:
    """A file in a folder of this machine: a disk, a share, another store."""

    path: Path
    home: Path | None = None
    """The folder that no link may leave; None where the content's checksum is known."""

    @property
    def name(self) -> str:
        return str(self.path)

    def open(self, start: int) -> Stream:
        return _FileStream(self.path, start, self.home)


class _FileStream:
    def __init__(self, path: Path, start: int, home: Path | None) -> None:
        try:
            # Non-blocking: a FIFO under this name must not hang the fetch.
            self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise TransferError(f"cannot be read: {error.strerror}", "later") from None
        try:
            status = os.fstat(self._fd)
            if not stat.S_ISREG(status.st_mode):
                raise TransferError("is not a regular file", "never")
            # Of what is open, not of the name, which may lead elsewhere by now.
            if home and not lies_in(home, Path(f"/proc/self/fd/{self._fd}").readlink()):
                raise TransferError(f"a link that leaves {home}; copy the file itself there", "never")
            if status.st_size < start:
                start = 0
            os.lseek(self._fd, start, os.SEEK_SET)
        except BaseException:
            self.close()
            raise
        self.info = FileInfo(start, status.st_size, f"{status.st_size}-{status.st_mtime_ns}", None)

    def read(self) -> bytes:
        try:
            return os.read(self._fd, _BLOCK)
        except OSError as error:
            raise TransferError(f"cannot be read: {error.strerror}", "later") from None

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


@dataclass(frozen=True)
class Extra:
    """Places that one command names, tried before all others."""

    places: Sequence[str] = ()
    """Like `mirror`: folders and URLs below which each model has its folder."""
    folder: Path | None = None
    """The folder of the one model that is fetched."""
    files: Mapping[str, Path] = field(default_factory=dict)
    """Files of the one model, wherever they lie, by their paths in it."""


def lies_in(folder: Path, real: Path) -> bool:
    """Whether a file without links in its path lies in the folder, or among the blobs of a hub's snapshot."""
    home = Path(os.path.realpath(folder))
    hub = [home.parent.parent / "blobs"] if home.parent.name == "snapshots" else []
    return any(real.is_relative_to(each) for each in (home, *hub))


def sources(
    model: Model,
    file: ModelFile,
    settings: FetchSettings,
    web: Web,
    extra: Extra,
    *,
    anywhere: bool,
    known: bool,
) -> list[Source]:
    """Where to look for a file; only the publisher's hosts, unless it may come from `anywhere`.

    Links out of a folder are followed only for content whose checksum is `known`.
    """
    if not anywhere:
        own = [] if settings.mirrors_only else file.urls
        return [UrlSource(web, url, file.trusts) for url in own]
    mirrors = [*extra.places, *([settings.mirror] if settings.mirror else []), *settings.peers]
    found: list[Source] = []
    if extra.folder:
        found += [FolderSource(extra.folder / file.path, None if known else extra.folder)]
    found += [FolderSource(extra.files[file.path])] if file.path in extra.files else []
    found += [_below(place, model, file, web, known) for place in mirrors]
    if not settings.mirrors_only:
        found += [UrlSource(web, url) for url in file.urls]
    return found


def _below(place: str, model: Model, file: ModelFile, web: Web, known: bool) -> Source:
    if place.startswith("/"):
        return FolderSource(Path(place) / model.name / file.path, None if known else Path(place))
    return UrlSource(web, f"{place.rstrip('/')}/{quote(model.name)}/{quote(file.path)}")

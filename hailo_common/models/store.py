"""The store of models: a folder for each, files that are complete, notes and pins of their checksums.

A file is verified when it arrives. The note (`.verified.json` in the model's folder) keeps its size, time and
inode, so that an untouched file need not be hashed again. A pin is a checksum that was accepted for a file
whose publisher states none. It belongs to the place that gave the bytes: what the publisher gave is pinned
for its URL, and models that share the URL share it; what came from elsewhere, or by somebody's word, is
pinned for one model's file of that URL. The file `pins.yaml` may be copied to other nodes. Opens no URL.
"""

from __future__ import annotations

import collections
import contextlib
import fcntl
import glob
import hashlib
import json
import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

from hailo_common.config.schema import choice, integer, is_host, is_sha256, string
from hailo_common.config.strict_yaml import LINE, read_table
from hailo_common.errors import ConfigError
from hailo_common.files import fsync_folder, write_atomic
from hailo_common.models.manifest import Model, ModelFile

NOTES = ".verified.json"
LOCK = ".lock"
_PINS = "pins.yaml"
_PINS_HEAD = """\
# Checksums accepted on this machine for files whose publisher states none (hailo-ctl models pin).
# Copy this file to other nodes, and they accept the same files and no others.
"""
_BLOCK = 1 << 20
_POLL_S = 0.25

State = Literal["verified", "present", "wrong size", "missing"]


class StoreBusyError(Exception):
    """Another process works on the store and went on for longer than one may wait."""


class Store:
    """The models below one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, model: Model) -> Path:
        """Where a model's files lie."""
        return self.root / model.name

    def path(self, model: Model, file: ModelFile) -> Path:
        """Where a file lies, or will."""
        return self.folder(model) / file.path

    def part(self, model: Model, file: ModelFile, token: str) -> Path:
        """Where a file grows; `token` names the content, so that two contents never meet in one file."""
        path = self.path(model, file)
        return path.with_name(f".{path.name}.{token[:16]}.part")

    def parts(self, model: Model, file: ModelFile) -> set[Path]:
        """What is there of a file that is not complete."""
        path = self.path(model, file)
        pattern = f".{glob.escape(path.name)}.{'[0-9a-f]' * 16}.part"
        return set(path.parent.glob(pattern)) if path.parent.is_dir() else set()

    def complete(self, model: Model) -> bool:
        """All files are there, each of its size; what a fetch brings only ever appears complete."""
        return all(self._whole(model, file) for file in model.files)

    def _whole(self, model: Model, file: ModelFile) -> bool:
        try:
            status = self.path(model, file).stat()
        except OSError:
            return False
        return stat.S_ISREG(status.st_mode) and file.size in (None, status.st_size)

    def state(self, model: Model, file: ModelFile, digest: str | None) -> State:
        """What a look without reading the content says."""
        try:
            status = self.path(model, file).stat()
        except OSError:
            return "missing"
        if not stat.S_ISREG(status.st_mode) or file.size not in (None, status.st_size):
            return "wrong size"
        return "verified" if digest and self.noted(model, file) == digest else "present"

    def noted(self, model: Model, file: ModelFile) -> str | None:
        """The checksum that an untouched file had when it was verified."""
        note = read_notes(self.folder(model)).get(file.path)
        with contextlib.suppress(OSError):
            if note is not None and note[:3] == identity(self.path(model, file)):
                return str(note[3])
        return None

    def note(self, model: Model, file: ModelFile, digest: str | None) -> None:
        """Remember a checksum, or with None forget it."""
        folder = self.folder(model)
        old = read_notes(folder)
        notes = {path: note for path, note in old.items() if path != file.path}
        if digest:
            notes[file.path] = [*identity(self.path(model, file)), digest]
        if notes != old:
            write_atomic(folder / NOTES, (json.dumps(notes, indent=1, sort_keys=True) + "\n").encode())

    def publish(self, part: Path, path: Path) -> None:
        """Give a complete file its real name, so that it survives a power cut."""
        fd = os.open(part, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fchmod(fd, 0o644)
            os.fsync(fd)
        finally:
            os.close(fd)
        part.rename(path)
        # A rename onto another link of the same file does nothing at all.
        part.unlink(missing_ok=True)
        fsync_folder(path.parent)

    def aside(self, model: Model, file: ModelFile) -> Path:
        """Where a file is kept that is not what it must be, until a good one is there."""
        path = self.path(model, file)
        return path.with_name(f".{path.name}.damaged")

    def set_aside(self, model: Model, file: ModelFile) -> None:
        """Move a bad file out of the engines' way. Needs the lock."""
        with contextlib.suppress(FileNotFoundError, IsADirectoryError):
            self.path(model, file).rename(self.aside(model, file))
        self.note(model, file, None)

    def drop_asides(self, model: Model) -> bool:
        """Remove what was set aside of a model; whether there was anything. Needs the lock."""
        asides = [path for path in (self.aside(model, file) for file in model.files) if path.is_file()]
        for path in asides:
            path.unlink(missing_ok=True)
        return bool(asides)

    def sweep(self, model: Model, keep: set[Path]) -> None:
        """Remove what dead processes left in a model's folder, except `keep`. Needs the lock."""
        folder = self.folder(model)
        places = {folder, *(self.path(model, file).parent for file in model.files)}
        for place in places:
            _sweep(place, keep)
        _sweep(self.root, keep)

    def remove(self, model: Model) -> int:
        """Remove a model's files, and its folder if it is empty then; returns the bytes. Needs the lock."""
        self.sweep(model, set())
        self.drop_asides(model)
        freed = 0
        for path in (self.path(model, file) for file in model.files):
            with contextlib.suppress(FileNotFoundError):
                freed += path.stat().st_size
                path.unlink()
        (self.folder(model) / NOTES).unlink(missing_ok=True)
        folders = {self.path(model, file).parent for file in model.files}
        for folder in sorted(folders, reverse=True):
            _remove_empty(folder)
        _remove_empty(self.folder(model))
        return freed

    @contextlib.contextmanager
    def locked(self, wait_s: float, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Have the store alone; `waiting` is called if that takes time; StoreBusyError after `wait_s`."""
        self.root.mkdir(mode=0o755, parents=True, exist_ok=True)
        fd = os.open(self.root / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        try:
            _lock(fd, wait_s, waiting)
            yield
        finally:
            os.close(fd)

    def free_bytes(self) -> int:
        """Bytes that may still be written."""
        place = self.root
        while not place.exists():
            place = place.parent
        status = os.statvfs(place)
        return status.f_bavail * status.f_frsize


Trust = Literal["pinned", "first-use", "accepted", "found"]
"""Whose word a pin is: somebody's who knew it, the publisher's host's over TLS, an operator's, or that of who
put the file into the store, which only its owner and root can."""


@dataclass(frozen=True)
class Pin:
    """What was accepted for one place."""

    sha256: str
    size: int
    trust: Trust = "pinned"
    host: str = ""
    """Where it came from, for what was taken at first use."""


class Pins:
    """The pins of one store, read once."""

    def __init__(self, store: Path) -> None:
        self.path = store / _PINS
        self._pins = _read_pins(self.path) if self.path.exists() else {}

    def digest(self, model: Model, file: ModelFile) -> str | None:
        """What the file's content must hash to: as stated, else as pinned, else None."""
        if file.sha256:
            return file.sha256
        pin = self.find(model, file)
        return pin.sha256 if pin else None

    def find(self, model: Model, file: ModelFile) -> Pin | None:
        """The pin of a file: the model's own, else that of a URL."""
        places = (*(_own(model, url) for url in file.urls or (file.path,)), *file.urls)
        return next((self._pins[place] for place in places if place in self._pins), None)

    def trust(self, model: Model, file: ModelFile) -> str:
        """What speaks for a file's content, in a few words."""
        if file.sha256:
            return "stated"
        pin = self.find(model, file)
        if pin is None:
            return "nothing yet"
        return f"first use, from {pin.host}" if pin.trust == "first-use" else pin.trust

    def add(self, model: Model, file: ModelFile, pin: Pin, url: str = "") -> None:
        """Pin what the URL of a file gave, or, without one, what came from elsewhere; write all pins."""
        self._pins[url or _own(model, (file.urls or (file.path,))[0])] = pin
        self.path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        lines = [_pin_text(url, pin) for url, pin in sorted(self._pins.items())]
        write_atomic(self.path, (_PINS_HEAD + "".join(lines)).encode())


def trust_of(store: Path, model: Model) -> dict[str, int]:
    """What speaks for how many of a model's files; empty for a store whose pins cannot be read."""
    try:
        pins = Pins(store)
    except (ConfigError, OSError):
        return {}
    return dict(collections.Counter(pins.trust(model, file) for file in model.files))


def _own(model: Model, place: str) -> str:
    """The key of a pin that counts for one model; no URL has a space."""
    return f"{model.name} {place}"


def _pin_text(url: str, pin: Pin) -> str:
    host = f"  host: {pin.host}\n" if pin.host else ""
    return f'"{url}":\n  sha256: {pin.sha256}\n  size: {pin.size}\n  trust: {pin.trust}\n{host}'


def hash_file(path: Path, progress: Callable[[int], None] = lambda _: None) -> str:
    """The SHA-256 of a file; `progress` hears how many bytes more were read."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            progress(len(block))
    return digest.hexdigest()


def _lock(fd: int, wait_s: float, waiting: Callable[[], None]) -> None:
    deadline = time.monotonic() + wait_s
    announced = False
    while not _try_lock(fd):
        if time.monotonic() >= deadline:
            raise StoreBusyError
        if not announced:
            waiting()
            announced = True
        time.sleep(_POLL_S)


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def read_notes(folder: Path) -> dict[str, list[Any]]:
    """The notes of a model's folder by file: size, time in ns, inode and checksum."""
    try:
        notes = json.loads((folder / NOTES).read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(notes, dict):
        return {}
    return {path: note for path, note in notes.items() if _is_note(note)}


def _is_note(note: Any) -> bool:
    return isinstance(note, list) and len(note) == 4 and is_sha256(str(note[3]))


def identity(path: Path) -> list[int]:
    """What a note keeps of a file besides its checksum; another one needs to be read again."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ino]


def _sweep(place: Path, keep: set[Path]) -> None:
    for path in place.iterdir() if place.is_dir() else ():
        stray = path.name.startswith(".") and path.suffix in (".part", ".tmp")
        if stray and path not in keep:
            path.unlink(missing_ok=True)


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


def _read_pins(path: Path) -> dict[str, Pin]:
    pins = {}
    for url, entry in read_table(path).tables():
        entry.allow("sha256", "size", "trust", "host")
        digest, size = entry.value("sha256", LINE), entry.find("size", integer(1, 10**15))
        trust = cast(Trust, entry.value("trust", choice(*get_args(Trust)), "pinned"))
        if not is_sha256(digest) or size is None:
            raise ConfigError(f"{path}: {url}: needs sha256 (64 hexadecimal digits) and size")
        pins[url] = Pin(digest, size, trust, entry.value("host", string("a host name", is_host), ""))
    return pins

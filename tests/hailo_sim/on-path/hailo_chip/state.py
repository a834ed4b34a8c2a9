"""What all processes share: who uses the chip, who has its key-value cache, whether it was lost.

Locks of the kernel's `flock` kind stand for connections: they vanish with the process that holds them, as the
chip's server notices a client's end.
"""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from hailo_chip import gil
from hailo_chip.settings import speed, state_folder
from hailo_chip.statuses import failed

UNIQUE = "UNIQUE"
_POLL_S = 0.01
_numbers = itertools.count()


@cache
def _epoch_path() -> str:
    path = state_folder() / "epoch"
    path.touch()
    return str(path)


def epoch() -> int:
    """Grows whenever the chip is lost; what was opened before is dead for ever."""
    return os.stat(_epoch_path()).st_size  # noqa: PTH116 - called often, and a Path is slow


def lose(absent_s: float = 0.0) -> None:
    """The chip goes away: every connection is dead, and for `absent_s` none can be made."""
    (state_folder() / "absent").write_text(str(time.monotonic() + absent_s), encoding="ascii")
    with Path(_epoch_path()).open("ab") as file:
        file.write(b".")


def absent() -> bool:
    """True while the chip is gone."""
    try:
        return time.monotonic() < float((state_folder() / "absent").read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return False


class Connection:
    """A connection to the chip's server, dead once the chip was lost."""

    def __init__(self) -> None:
        self._epoch = epoch()
        self.closed = False

    @property
    def alive(self) -> bool:
        """False once the chip was lost."""
        return self._epoch == epoch()

    def check(self) -> None:
        """Every request goes through here; raises status 62 on a dead connection."""
        if not self.alive:
            raise failed("COMMUNICATION_CLOSED")

    def check_open(self) -> None:
        """As `check`, for what belongs to a VDevice; raises status 8 once that was released."""
        if self.closed:
            raise failed("INTERNAL_FAILURE")
        self.check()


class Held:
    """A file that is locked while its holder lives; what it says is removed only by an orderly release."""

    def __init__(self, path: Path, **about: Any) -> None:
        """Raises BlockingIOError when another holder lives."""
        self._path = path
        self._descriptor: int | None = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._descriptor)
            raise
        path.write_text(json.dumps(about), encoding="utf-8")

    def release(self) -> None:
        """Let go; may be called twice."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            self._path.unlink(missing_ok=True)
            os.close(descriptor)


@dataclass(frozen=True)
class _Entry:
    """A holder; one that died is `closing` until the chip's server has noticed."""

    about: dict[str, Any]
    closing: bool


def _look(path: Path) -> _Entry | None:
    """Who holds a file; None for nobody. Removes the file of one that died and was noticed."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        about = json.loads(path.read_text(encoding="utf-8") or "{}")
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return _Entry(about, closing=False)
    except FileNotFoundError:
        return None
    else:
        gone = about.setdefault("gone", time.monotonic())
        if time.monotonic() < gone + speed().linger_s:
            path.write_text(json.dumps(about), encoding="utf-8")
            return _Entry(about, closing=True)
        path.unlink(missing_ok=True)
        return None
    finally:
        os.close(descriptor)


@contextmanager
def _exclusive() -> Iterator[None]:
    with (state_folder() / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def join(group: str, *, named: bool) -> Held:
    """Register a VDevice of a group; `named` when the caller named a device.

    Waits, with the global lock held, for others to go when it wants the chip alone, and for those that died.
    Raises status 73 or 74 when the chip is in use: 73 reaches only callers that named the device.
    """
    end = time.monotonic() + speed().busy_wait_s
    while True:
        with _exclusive():
            found = [entry for path in _folder().iterdir() if (entry := _look(path)) is not None]
            living = {str(entry.about["group"]) for entry in found if not entry.closing}
            if not found or (group != UNIQUE and living == {group}):
                path = _folder() / f"{os.getpid()}-{next(_numbers)}"
                return Held(path, group=group, pid=os.getpid())
        if time.monotonic() >= end or (living and group != UNIQUE):
            raise failed("DEVICE_IN_USE" if named else "OUT_OF_PHYSICAL_DEVICES")
        gil.hold(_POLL_S)


def _folder() -> Path:
    folder = state_folder() / "vdevices"
    folder.mkdir(exist_ok=True)
    return folder


def take_cache() -> Held | None:
    """The one key-value cache of the chip; None when another model has it."""
    path = state_folder() / "cache"
    with _exclusive():
        return Held(path) if _look(path) is None else None

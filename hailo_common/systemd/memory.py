"""How much memory the service uses and may use, read from /proc and the control group."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hailo_common.meminfo import sizes
from hailo_common.systemd.wake import shared

_log = logging.getLogger(__name__)
_PRESSURE = 0.9
_QUIET_S = 60.0
_PROC = Path("/proc")
_CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Reading:
    """Bytes in use, the limit they count against, and what sets it: `configuration`, `cgroup`, `machine`."""

    used: int
    limit: int
    limited_by: str


def rss_bytes(pid: int | None = None, proc: Path = _PROC) -> int:
    """Resident memory of a process, shared pages included; 0 when it is gone."""
    return _resident(pid, proc)[0]


def anonymous_bytes(pid: int | None = None, proc: Path = _PROC) -> int:
    """Resident memory that no file backs, which the kernel cannot drop; 0 when the process is gone."""
    resident, backed = _resident(pid, proc)
    return resident - backed


def _resident(pid: int | None, proc: Path) -> tuple[int, int]:
    """Resident bytes, and those of them that a file or shared memory backs."""
    try:
        resident, backed = (proc / str(pid or os.getpid()) / "statm").read_text().split()[1:3]
    except (OSError, ValueError):
        return 0, 0
    page = os.sysconf("SC_PAGE_SIZE")
    return int(resident) * page, int(backed) * page


def give_back() -> None:
    """Return freed memory to the system, which glibc keeps between blocks that are still in use."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def tree_bytes(pid: int | None = None, proc: Path = _PROC) -> int:
    """Memory of a process and its descendants; pages they share are counted once where the kernel tells."""
    return sum(
        _pss_bytes(member, proc) or rss_bytes(member, proc) for member in _tree(pid or os.getpid(), proc)
    )


def machine_bytes(proc: Path = _PROC) -> int:
    """Memory of the machine; 0 when unknown."""
    return _size(proc / "meminfo", "MemTotal")


def memory_limit(configured_mb: int) -> tuple[int, str]:
    """Bytes that a service may use, 0 when unknown, and what says so.

    `configured_mb` is its `memory_max_mb`; where that is 0 its control group decides, else the machine.
    """
    if configured_mb:
        return configured_mb << 20, "memory_max_mb"
    reading = cgroup_reading()
    return (reading.limit, "the control group") if reading else (machine_bytes(), "the machine")


def available_bytes(proc: Path = _PROC, cgroups: Path = _CGROUPS) -> int | None:
    """Bytes that this process may still take, by machine and control groups; None if unknown."""
    free = _size(proc / "meminfo", "MemAvailable")
    group = cgroup_reading(proc, cgroups)
    known = [free] if free else []
    if group is not None:
        known.append(max(0, group.limit - group.used))
    return min(known, default=None)


def cgroup_reading(proc: Path = _PROC, cgroups: Path = _CGROUPS) -> Reading | None:
    """The tightest limit of this process's control groups (version 2), or None without one.

    Raspberry Pi OS boots without the memory controller unless told otherwise.
    """
    tightest: Reading | None = None
    for folder in _cgroup_folders(proc, cgroups):
        limit = _number(folder / "memory.max")
        used = _number(folder / "memory.current")
        if limit is not None and used is not None and (tightest is None or limit < tightest.limit):
            tightest = Reading(max(0, used - _file_cache(folder)), limit, "cgroup")
    return tightest


@dataclass
class MemoryWatch:
    """Warns at most once a minute while the service uses more than 90 % of its limit."""

    memory_max_mb: int
    clock: Callable[[], float] = time.monotonic
    proc: Path = _PROC
    cgroups: Path = _CGROUPS
    _warned_at: float = float("-inf")

    def read(self) -> Reading:
        """The limit is the configured one, else the control group's, else the machine's memory."""
        if self.memory_max_mb:
            return Reading(tree_bytes(proc=self.proc), self.memory_max_mb << 20, "configuration")
        reading = cgroup_reading(self.proc, self.cgroups)
        return reading or Reading(tree_bytes(proc=self.proc), machine_bytes(self.proc), "machine")

    def check(self) -> Reading:
        """Read, and warn if it is time to."""
        reading = self.read()
        now = self.clock()
        pressed = reading.limit > 0 and reading.used > _PRESSURE * reading.limit
        if pressed and now - self._warned_at >= _QUIET_S:
            self._warned_at = now
            fields = {
                "used_mb": reading.used >> 20,
                "limit_mb": reading.limit >> 20,
                "by": reading.limited_by,
            }
            _log.warning("memory pressure", extra={"fields": fields})
        return reading

    async def run(self, every_s: float = 10.0) -> None:
        """Check for ever; reading smaps of a large process takes milliseconds, hence the thread."""
        while True:
            await asyncio.to_thread(self.check)
            await asyncio.sleep(shared(every_s))


def _pss_bytes(pid: int, proc: Path) -> int:
    return _size(proc / str(pid) / "smaps_rollup", "Pss")


def _size(path: Path, name: str) -> int:
    try:
        return sizes(path.read_text()).get(name, 0)
    except (OSError, ValueError):
        return 0


def _tree(root: int, proc: Path) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in proc.iterdir():
        if entry.name.isdigit():
            children.setdefault(_parent(entry), []).append(int(entry.name))
    tree = [root]
    for member in tree:
        tree += children.get(member, [])
    return tree


def _parent(entry: Path) -> int:
    with contextlib.suppress(OSError, IndexError, ValueError):
        # The command's name, in parentheses, may contain anything.
        return int((entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
    return 0


def _cgroup_folders(proc: Path, cgroups: Path) -> list[Path]:
    try:
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return []
    path = next((line[3:] for line in lines if line.startswith("0::/")), None)
    if path is None:
        return []
    own = cgroups / path.lstrip("/")
    return [own, *(parent for parent in own.parents if cgroups in parent.parents)]


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        # "max" is no limit.
        return None


def _file_cache(folder: Path) -> int:
    """Cached file pages that the kernel drops before it kills anything."""
    try:
        lines = (folder / "memory.stat").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("inactive_file ")), 0)

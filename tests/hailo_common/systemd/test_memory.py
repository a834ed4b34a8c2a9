"""Memory figures from a pretend /proc and /sys, and from the real ones."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

import pytest

from hailo_common.systemd.memory import (
    MemoryWatch,
    Reading,
    anonymous_bytes,
    cgroup_reading,
    give_back,
    machine_bytes,
    rss_bytes,
    tree_bytes,
)

PAGE = os.sysconf("SC_PAGE_SIZE")


class Kernel:
    """A folder that looks like /proc and /sys/fs/cgroup."""

    def __init__(self, root: Path) -> None:
        self.proc = root / "proc"
        self.cgroups = root / "cgroup"
        self.write(self.proc / "meminfo", "MemTotal:     8000 kB\nMemFree: 1 kB\n")

    def write(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def process(self, pid: int, parent: int, pages: int, pss_kb: int = 0) -> None:
        self.write(self.proc / f"{pid}/stat", f"{pid} (odd ) name) S {parent} 0 0")
        self.write(self.proc / f"{pid}/statm", f"999 {pages} 1 1 0 1 0")
        if pss_kb:
            self.write(
                self.proc / f"{pid}/smaps_rollup", f"00-ff ---p [rollup]\nRss: 9 kB\nPss: {pss_kb} kB\n"
            )

    def group(self, path: str, maximum: str, current: int, cache: int = 0) -> None:
        folder = self.cgroups / path
        self.write(folder / "memory.max", maximum + "\n")
        self.write(folder / "memory.current", f"{current}\n")
        self.write(folder / "memory.stat", f"anon 5\ninactive_file {cache}\n")


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    return Kernel(tmp_path)


def test_what_no_file_backs_is_told_apart(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path)
    kernel.write(kernel.proc / "7/statm", "999 30 12 1 0 1 0")
    assert (rss_bytes(7, kernel.proc), anonymous_bytes(7, kernel.proc)) == (30 * PAGE, 18 * PAGE)
    assert anonymous_bytes(8, kernel.proc) == 0
    assert 0 < anonymous_bytes() < rss_bytes()
    give_back()


def test_real_figures() -> None:
    assert 1 << 20 < rss_bytes() < machine_bytes()
    assert tree_bytes() > 1 << 20
    assert rss_bytes(1 << 30) == 0


def test_tree_counts_descendants_and_shared_pages_once(kernel: Kernel) -> None:
    kernel.process(10, 1, pages=100, pss_kb=50)
    kernel.process(11, 10, pages=200)
    kernel.process(12, 11, pages=300, pss_kb=70)
    kernel.process(13, 1, pages=400)
    (kernel.proc / "14").mkdir()
    assert tree_bytes(10, kernel.proc) == (50 + 70) * 1024 + 200 * PAGE


def test_tightest_control_group_wins(kernel: Kernel) -> None:
    kernel.write(kernel.proc / "self/cgroup", "0::/system.slice/hailo.service\n")
    kernel.group("system.slice/hailo.service", "max", 700)
    kernel.group("system.slice", "1000", 950, cache=100)
    assert cgroup_reading(kernel.proc, kernel.cgroups) == Reading(850, 1000, "cgroup")
    kernel.group("system.slice/hailo.service", "800", 700)
    assert cgroup_reading(kernel.proc, kernel.cgroups) == Reading(700, 800, "cgroup")


@pytest.mark.parametrize("text", ["0::/a/b\n", "0::/\n", "5:memory:/x\n", "", None])
def test_no_memory_controller(kernel: Kernel, text: str | None) -> None:
    if text is not None:
        kernel.write(kernel.proc / "self/cgroup", text)
    assert cgroup_reading(kernel.proc, kernel.cgroups) is None


def watch(kernel: Kernel, megabytes: int, clock: list[float]) -> MemoryWatch:
    return MemoryWatch(megabytes, lambda: clock[0], kernel.proc, kernel.cgroups)


def test_warns_above_ninety_percent_once_a_minute(kernel: Kernel, caplog: pytest.LogCaptureFixture) -> None:
    clock = [0.0]
    watching = watch(kernel, 10, clock)
    kernel.process(os.getpid(), 1, pages=1, pss_kb=9 * 1024)
    watching.check()
    assert not caplog.records
    kernel.process(os.getpid(), 1, pages=1, pss_kb=9 * 1024 + 1)
    for _ in range(3):
        assert watching.check().used == (9 << 20) + 1024
        clock[0] += 29.0
    assert [made.message for made in caplog.records] == ["memory pressure"]
    clock[0] += 10
    watching.check()
    assert [made.levelno for made in caplog.records] == [logging.WARNING] * 2
    assert caplog.records[0].__dict__["fields"] == {"used_mb": 9, "limit_mb": 10, "by": "configuration"}


def test_limit_falls_back_to_group_then_machine(kernel: Kernel) -> None:
    kernel.process(os.getpid(), 1, pages=1, pss_kb=4)
    assert watch(kernel, 0, [0.0]).read() == Reading(4096, 8000 * 1024, "machine")
    kernel.write(kernel.proc / "self/cgroup", "0::/a\n")
    kernel.group("a", "1000", 10)
    assert watch(kernel, 0, [0.0]).read() == Reading(10, 1000, "cgroup")


def test_unknown_limit_never_warns(kernel: Kernel, caplog: pytest.LogCaptureFixture) -> None:
    (kernel.proc / "meminfo").unlink()
    assert watch(kernel, 0, [0.0]).check().limit == 0
    assert not caplog.records


def test_run_keeps_checking(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    checks: list[int] = []
    watching = watch(kernel, 1, [0.0])
    monkeypatch.setattr(watching, "check", lambda: checks.append(1))

    async def some_time() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(watching.run(every_s=0.01), 0.3)

    asyncio.run(some_time())
    assert len(checks) > 2

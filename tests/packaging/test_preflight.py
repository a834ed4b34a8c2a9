"""What an installation says about the machine; it never fails."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

TREE = Path(__file__).parents[2]


def preflight(root: Path, *, free_kib: int = 4_000_000) -> str:
    """What is said on a machine like this."""
    for path, text in (
        ("proc/meminfo", f"MemTotal: 8000000 kB\nMemAvailable: {free_kib} kB\n"),
        ("dev/null", ""),
    ):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    (root / "var/lib").mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["sh", TREE / "debian/libexec/hailo-preflight", "hailo-vision"],
        env={**os.environ, "HAILO_ROOT": str(root)},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout == ""
    return "".join(line for line in done.stderr.splitlines(keepends=True) if "free in /var/lib" not in line)


def chip(root: Path) -> None:
    device = root / "sys/bus/pci/devices/0001:01:00.0"
    device.mkdir(parents=True)
    (device / "vendor").write_text("0x1e60\n")


def test_a_machine_that_is_well_hears_nothing(tmp_path: Path) -> None:
    assert preflight(tmp_path) == ""
    chip(tmp_path)
    (tmp_path / "dev/h1x-0").touch()
    assert preflight(tmp_path) == ""


def test_little_memory_and_a_chip_without_driver_are_told(tmp_path: Path) -> None:
    chip(tmp_path)
    said = preflight(tmp_path, free_kib=500_000)
    assert "hailo-vision: only 488 MiB of memory are free" in said
    assert "a Hailo chip is there, but no driver has it" in said


def test_nothing_that_can_be_read_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    done = subprocess.run(
        ["sh", TREE / "debian/libexec/hailo-preflight", "hailo-vision"],
        env={**os.environ, "HAILO_ROOT": str(tmp_path / "nothing")},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

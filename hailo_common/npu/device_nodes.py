"""Which NPUs this machine has, who uses them and who may: read from the file system, no device is opened.

Safe in the HTTP process.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hailo_common.npu.versions import DRIVER_MODULES, DRIVERS, PCI_HAILO8, PCI_VENDOR

SYSROOT = "HAILO_APPLIANCE_SYSROOT"
_SOC = "1"
"""`accelerator_type` of chips that run a Linux of their own (Hailo-10H, 15); Hailo-8 has 0."""
_MAX_HOLDERS = 4


@dataclass(frozen=True)
class PciChip:
    """A chip of Hailo's on the bus, whether a driver has it or not; `device` is its id, such as 0x45c4."""

    address: str
    device: str

    @property
    def is_hailo8(self) -> bool:
        """True for a Hailo-8 or 8L, which HailoRT 5 does not drive."""
        return self.device in PCI_HAILO8


@dataclass(frozen=True)
class SysfsDevice:
    """One NPU as the driver shows it: `name` of its node, its bus address, and `accelerator_type`."""

    name: str
    location: str
    accelerator_type: str
    hailo8: bool = False
    """The bus says so, whatever the driver says."""

    @property
    def supported(self) -> bool:
        """False for a chip that HailoRT 5 does not drive (Hailo-8); True when nobody says."""
        return self.accelerator_type in ("", _SOC) and not self.hailo8


@dataclass(frozen=True)
class Holder:
    """A process that has a device node open."""

    pid: int
    name: str

    def __str__(self) -> str:
        return f"{self.name} (process {self.pid})"


def sysroot() -> Path:
    """Where `dev` and `sys` are looked up: `/`, or another folder for tests and chroots."""
    return Path(os.environ.get(SYSROOT) or "/")


def device_nodes(root: Path | None = None) -> list[Path]:
    """The device nodes of both driver generations, sorted."""
    dev = (root or sysroot()) / "dev"
    return sorted(node for driver in DRIVERS for node in dev.glob(driver.node))


def sysfs_devices(root: Path | None = None) -> list[SysfsDevice]:
    """The NPUs that a loaded driver has, sorted by class and name."""
    found = []
    hailo8 = {chip.address for chip in pci_chips(root) if chip.is_hailo8}
    for driver in DRIVERS:
        folder = (root or sysroot()) / "sys" / "class" / driver.device_class
        for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
            location = _line(entry / driver.address)
            kind = _line(entry / driver.kind) if driver.kind else ""
            found.append(SysfsDevice(entry.name, location, kind, location in hailo8))
    return found


def pci_chips(root: Path | None = None) -> list[PciChip]:
    """Hailo's chips on the bus, sorted by address; needs no driver."""
    folder = (root or sysroot()) / "sys" / "bus" / "pci" / "devices"
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    mine = [entry for entry in entries if _line(entry / "vendor") == PCI_VENDOR]
    return [PciChip(entry.name, _line(entry / "device")) for entry in mine]


def driver_version(root: Path | None = None) -> str:
    """The version of the loaded kernel driver, or "" where none is loaded."""
    modules = (root or sysroot()) / "sys" / "module"
    return next((text for name in DRIVER_MODULES if (text := _line(modules / name / "version"))), "")


def closed_nodes(root: Path | None = None) -> list[Path]:
    """The nodes that this process may not read and write."""
    return [node for node in device_nodes(root) if not os.access(node, os.R_OK | os.W_OK)]


def holders(nodes: Sequence[Path], proc: Path = Path("/proc"), root: Path = Path("/")) -> list[Holder]:
    """Other processes that have one of `nodes` open, as far as this user may see, at most a few.

    `nodes` below a `root` are looked for as the processes of that root see them, too.
    """
    wanted = {os.path.realpath(node) for node in nodes}
    wanted |= {f"/{node.relative_to(root)}" for node in nodes if node.is_relative_to(root)}
    found: list[Holder] = []
    for folder in _processes(proc):
        if len(found) < _MAX_HOLDERS and not wanted.isdisjoint(_open_files(folder)):
            found.append(Holder(int(folder.name), _line(folder / "comm") or "a program"))
    return found


def _processes(proc: Path) -> Iterator[Path]:
    own = str(os.getpid()) if proc == Path("/proc") else ""
    if not proc.is_dir():
        return
    for name in sorted((entry.name for entry in proc.iterdir() if entry.name.isdigit()), key=int):
        if name != own:
            yield proc / name


def _open_files(process: Path) -> set[str]:
    """Where the descriptors of a process lead; empty for another user's or one that is gone."""
    found = set()
    with contextlib.suppress(OSError):
        for entry in os.scandir(process / "fd"):
            with contextlib.suppress(OSError):
                found.add(os.readlink(entry.path))  # noqa: PTH115 - the text, not the file behind it
    return found


def _line(path: Path) -> str:
    """The first line of a small text file; "" when it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").partition("\n")[0].strip()
    except OSError:
        return ""

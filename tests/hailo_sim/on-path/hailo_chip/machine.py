"""The driver's side: devices in sysfs, their nodes, the driver's version.

Source: HailoRT's `driver_os_specific.cpp` (5.2.0): only the class `hailo_chardev` is looked at, a device's
node has the name of its entry, and accelerator type 1 is a chip with a system of its own, as the Hailo-10H.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from hailo_chip import state
from hailo_chip.settings import sysroot, version
from hailo_chip.statuses import failed

_CLASS = "sys/class/hailo_chardev"
_DRIVER = "sys/module/hailo1x_pci/version"
_SOC = 1


@dataclass(frozen=True)
class Found:
    """One device of the machine."""

    device_id: str
    node: Path
    accelerator: int


def scan() -> list[Found]:
    """The devices that sysfs lists; empty without the class. Raises status 85 for a broken entry."""
    folder = sysroot() / _CLASS
    if state.absent() or not folder.is_dir():
        return []
    return [_found(entry) for entry in sorted(folder.iterdir())]


def _found(entry: Path) -> Found:
    try:
        location = (entry / "board_location").read_text(encoding="ascii").splitlines()[0]
        accelerator = int((entry / "accelerator_type").read_text(encoding="ascii"))
    except (OSError, ValueError, IndexError):
        raise failed("DRIVER_INVALID_RESPONSE") from None
    return Found(location, sysroot() / "dev" / entry.name, accelerator)


def choose(ids: list[str]) -> Found:
    """The device that a VDevice gets. Raises status 2 for unknown or mixed ones, 74 where there is none."""
    found = scan()
    if ids:
        found = [each for each in found if each.device_id == ids[0]]
        if not found:
            raise failed("INVALID_ARGUMENT")
    if len({each.accelerator for each in found}) > 1:
        raise failed("INVALID_ARGUMENT")
    if not found:
        raise failed("OUT_OF_PHYSICAL_DEVICES")
    return found[0]


def open_node(device: Found) -> int:
    """A descriptor of the device's node, the caller's to close; others see there who uses the chip.

    Raises status 36 when the node cannot be opened, 76 when the driver is of another version, 75 for a chip
    that HailoRT 5 does not drive.
    """
    try:
        descriptor = os.open(device.node, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        raise failed("DRIVER_OPERATION_FAILED") from None
    problem = "" if _driver_fits() else "INVALID_DRIVER_VERSION"
    if not problem and device.accelerator != _SOC:
        problem = "INVALID_DEVICE_ARCHITECTURE"
    if problem:
        os.close(descriptor)
        raise failed(problem)
    return descriptor


def _driver_fits() -> bool:
    try:
        return (sysroot() / _DRIVER).read_text(encoding="ascii").strip() == version()
    except FileNotFoundError:
        return True  # a machine without this file says nothing

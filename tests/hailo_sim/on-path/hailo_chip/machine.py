"""The driver's side: devices in sysfs, their nodes, the driver's version.

Source: HailoRT's `driver_os_specific.cpp` (5.2.0, and a later one): up to 5.2 only the class `hailo_chardev`
is looked at, whose accelerator type 1 is a chip with a system of its own, as the Hailo-10H; from 5.3 only
`hailo1x`, which has the bus address in `device_id` and nothing else. A device's node has the name of its
entry. An attribute is read by one `getline` that must end with the file: a newline in it is an error.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from hailo_chip import state
from hailo_chip.settings import since, state_folder, sysroot, version
from hailo_chip.statuses import failed

_DRIVER = "sys/module/hailo1x_pci/version"
_SOC = 1
WEDGED = "wedged"
"""A file: the chip hangs, and its driver refuses until its power was removed."""


@dataclass(frozen=True)
class Found:
    """One device of the machine."""

    device_id: str
    node: Path
    accelerator: int


def scan() -> list[Found]:
    """The devices that sysfs lists; empty without the class. Raises status 85 for a broken entry."""
    folder = sysroot() / "sys/class" / ("hailo1x" if since("5.3.0") else "hailo_chardev")
    if state.absent() or not folder.is_dir():
        return []
    return [_found(entry) for entry in sorted(folder.iterdir())]


def _found(entry: Path) -> Found:
    node = sysroot() / "dev" / entry.name
    try:
        if since("5.3.0"):
            return Found(_attribute(entry / "device_id"), node, _SOC)
        return Found(_attribute(entry / "board_location"), node, int(_attribute(entry / "accelerator_type")))
    except (OSError, ValueError):
        raise failed("DRIVER_INVALID_RESPONSE") from None


def _attribute(path: Path) -> str:
    text = path.read_text(encoding="ascii")
    if "\n" in text:
        raise ValueError(text)
    return text


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
    if (state_folder() / WEDGED).exists():
        raise failed("DRIVER_OPERATION_FAILED")
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

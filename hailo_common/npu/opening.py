"""Why the chip did not open, and what to do about it: one table of causes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hailo_common.errors import DeviceLost
from hailo_common.npu import nodes
from hailo_common.npu.status import DRIVER_OPERATION_FAILED, OUT_OF_PHYSICAL_DEVICES, status_of, told

ABSENT, BUSY, PERMISSION = "device_absent", "device_busy", "device_permission"
MISMATCH, WRONG, UNREACHABLE = "driver_mismatch", "wrong_device", "device_unreachable"
PASSING = frozenset({BUSY, UNREACHABLE})
"""Causes that may end by themselves a moment later."""
NO_LIBRARY = "hailort_missing"
_CAUSES = {2: WRONG, 15: MISMATCH, 16: MISMATCH, 64: ABSENT, 73: BUSY, 75: WRONG, 76: MISMATCH, 86: MISMATCH}


@dataclass(frozen=True)
class Opening:
    """What was tried and found: the chips that `Device.scan()` lists, the library's version."""

    group_id: str
    scanned: Sequence[str]
    library: str


def why_not_open(error: BaseException, seen: Opening) -> DeviceLost:
    """The cause of a VDevice that HailoRT refused with `error`."""
    number = status_of(error)
    code = _cause(number, seen)
    text = _TEXTS[code].format(
        who=_who(),
        group=seen.group_id,
        nodes=", ".join(str(node) for node in nodes.closed_nodes() or nodes.device_nodes()) or "no node",
        driver=nodes.driver_version() or "of an unknown version",
        library=seen.library,
    )
    return DeviceLost(f"{text} ({told(number)})", code=code, retry_after=5)


def _cause(number: int | None, seen: Opening) -> str:
    chips = nodes.sysfs_devices()
    if chips and not any(chip.supported for chip in chips):
        return WRONG
    if number == OUT_OF_PHYSICAL_DEVICES:
        # The library says the same of a chip that is not there and of one that is taken.
        return BUSY if seen.scanned else ABSENT
    if number == DRIVER_OPERATION_FAILED and nodes.closed_nodes():
        return PERMISSION
    if number == DRIVER_OPERATION_FAILED and not nodes.device_nodes():
        return ABSENT
    return _CAUSES.get(number or 0, UNREACHABLE)


def _who() -> str:
    found = nodes.holders(nodes.device_nodes())
    return (
        "by " + ", ".join(map(str, found))
        if found
        else "by another program (whose name this user may not see)"
    )


_TEXTS = {
    ABSENT: (
        "no Hailo chip found: check that the board is seated and listed by `lspci -d 1e60:`, and that the"
        " driver is loaded (`lsmod | grep hailo`); install hailo-h10-all if it is not"
    ),
    BUSY: (
        "the Hailo chip is in use {who}: end it, or let it use the same group_id, here {group};"
        " hailo-ollama always wants the chip alone"
    ),
    PERMISSION: (
        "no permission to open {nodes}: its group must be hailo-devices and this service's user a member"
        " (udev rules and group come with the package hailo-common)"
    ),
    MISMATCH: (
        "the kernel driver is {driver} and the HailoRT library {library}: install the same three-part"
        " version of driver, library and firmware, then reboot"
    ),
    WRONG: (
        "the chip found is no Hailo-10H, and HailoRT 5 drives no Hailo-8: use a Hailo-10H,"
        " or set backend: cpu"
    ),
    UNREACHABLE: (
        "the Hailo chip does not answer: it may still be booting; if this stays, see `dmesg | grep hailo` for"
        " missing firmware (/lib/firmware/hailo/hailo10h) and reboot"
    ),
}

"""HailoRT's failures: the status number behind any of its exceptions, its name, the cause, and what to do.

The numbers are the only stable signal: exception classes differ between versions, some calls raise the raw
class whose only argument is the number as a string, and the reason itself goes to the library's own log.
Source: `hailort.h` (`HAILO_STATUS__X`) and `ExceptionWrapper` of `pyhailort.py`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hailo_common.errors import DeviceLost, ServiceError
from hailo_common.npu import device_nodes as nodes

ABSENT, BUSY, PERMISSION = "device_absent", "device_busy", "device_permission"
MISMATCH, WRONG, UNREACHABLE = "driver_mismatch", "wrong_device", "device_unreachable"
PASSING = frozenset({BUSY, UNREACHABLE})
"""Causes that may end by themselves a moment later."""
NO_LIBRARY = "hailort_missing"
OUT_OF_MEMORY = "device_out_of_memory"
HEF_REFUSED = frozenset({26, 75, 92, 93})
"""A HEF that is whole, but made for another chip or another version of HailoRT."""
HEF_DAMAGED = frozenset({14, 91})
"""A HEF that is not whole: shorter than it says, or not what its checksum says."""
_DRIVER_OPERATION_FAILED = 36
_OUT_OF_PHYSICAL_DEVICES = 74

_NAMES = {
    2: "INVALID_ARGUMENT",
    3: "OUT_OF_HOST_MEMORY",
    4: "TIMEOUT",
    5: "INSUFFICIENT_BUFFER",
    6: "INVALID_OPERATION",
    7: "NOT_IMPLEMENTED",
    8: "INTERNAL_FAILURE",
    13: "OPEN_FILE_FAILURE",
    14: "FILE_OPERATION_FAILURE",
    15: "UNSUPPORTED_CONTROL_PROTOCOL_VERSION",
    16: "UNSUPPORTED_FW_VERSION",
    18: "FW_CONTROL_FAILURE",
    19: "ETH_FAILURE",
    25: "INVALID_FRAME",
    26: "INVALID_HEF",
    36: "DRIVER_OPERATION_FAILED",
    48: "UNSUPPORTED_OPCODE",
    61: "NOT_FOUND",
    62: "COMMUNICATION_CLOSED",
    63: "STREAM_ABORT",
    64: "DRIVER_NOT_INSTALLED",
    65: "NOT_AVAILABLE",
    69: "NETWORK_GROUP_NOT_ACTIVATED",
    71: "OUT_OF_FW_MEMORY",
    72: "STREAM_NOT_ACTIVATED",
    73: "DEVICE_IN_USE",
    74: "OUT_OF_PHYSICAL_DEVICES",
    75: "INVALID_DEVICE_ARCHITECTURE",
    76: "INVALID_DRIVER_VERSION",
    77: "RPC_FAILED",
    78: "INVALID_SERVICE_VERSION",
    79: "NOT_SUPPORTED",
    81: "OUT_OF_HOST_CMA_MEMORY",
    82: "QUEUE_IS_FULL",
    85: "DRIVER_INVALID_RESPONSE",
    86: "DRIVER_INVALID_IOCTL",
    87: "DRIVER_TIMEOUT",
    88: "DRIVER_INTERRUPTED",
    89: "CONNECTION_REFUSED",
    90: "DRIVER_WAIT_CANCELED",
    91: "HEF_FILE_CORRUPTED",
    92: "HEF_NOT_SUPPORTED",
    93: "HEF_NOT_COMPATIBLE_WITH_DEVICE",
    94: "INVALID_HEF_USE",
    95: "OPERATION_ABORTED",
    96: "DEVICE_NOT_CONNECTED",
    97: "DEVICE_TEMPORARILY_UNAVAILABLE",
}
_CLASSES = {
    "InvalidProtocolVersionException": 15,
    "HailoRTFirmwareControlFailedException": 18,
    "HailoRTUnsupportedOpcodeException": 48,
    "HailoRTInvalidFrameException": 25,
    "HailoRTInvalidArgumentException": 2,
    "HailoRTTimeout": 4,
    "HailoRTInvalidOperationException": 6,
    "HailoRTInvalidHEFException": 26,
    "HailoRTDriverOperationFailedException": 36,
    "HailoRTEthException": 19,
    "HailoRTNotFoundException": 61,
    "HailoCommunicationClosedException": 62,
    "HailoRTStreamAborted": 63,
    "HailoRTStreamAbortedByUser": 63,
    "HailoRTNetworkGroupNotActivatedException": 69,
    "HailoRTHEFNotCompatibleWithDevice": 93,
}
"""Exceptions that do not carry their number, in any version."""
_WRAPPED = re.compile(r"libhailort failed with error: ([0-9]{1,3}) ")

POWER = "shut down and remove power for some seconds (a reboot leaves the chip as it is)"
"""What resets the chip: it is a computer of its own, which the slot supplies all through a reboot."""
_GONE = f"the chip stopped answering; if this repeats, {POWER}, and see `dmesg | grep hailo`"
_FULL = "the chip's memory is full; unload other models on it, or stop the programs that hold them"
_CMA = (
    "this machine has no contiguous memory (CMA) left for the chip: see CmaFree in /proc/meminfo, stop other"
    " programs that use the chip, or put dtoverlay=cma,cma-512 into /boot/firmware/config.txt and reboot"
)
_FIRMWARE = (
    "the chip's firmware is of another version than the library and the driver: a driver brings its firmware"
    f" onto the chip when that starts, so {POWER}; if this stays, install one version of driver and library"
)
_VERSIONS = f"driver and library differ in version; install equal ones, then {POWER}"
_REMEDIES: dict[int, tuple[str, str]] = {
    3: (OUT_OF_MEMORY, "this machine is out of memory; stop other programs"),
    4: ("device_unresponsive", f"the chip did not answer in time; if this repeats, {POWER}"),
    15: ("driver_mismatch", _FIRMWARE),
    16: ("driver_mismatch", _FIRMWARE),
    36: ("device_lost", f"the driver refused; see `dmesg | grep hailo`; if this repeats, {POWER}"),
    71: (OUT_OF_MEMORY, _FULL),
    76: ("driver_mismatch", _VERSIONS),
    81: (OUT_OF_MEMORY, _CMA),
    87: ("device_unresponsive", f"the driver got no answer from the chip; if this repeats, {POWER}"),
}

_MEMORY = frozenset({3, 71, 81})
_STALE = "stale_firmware"
_REFUSED = "driver_refused"
_CAUSES = {
    **{2: WRONG, 15: _STALE, 16: _STALE, 36: _REFUSED, 64: ABSENT, 73: BUSY, 75: WRONG, 76: MISMATCH},
    86: MISMATCH,
}
_CODES = {_STALE: MISMATCH, _REFUSED: UNREACHABLE}
"""Causes that have a message of their own under another's code."""
_MESSAGES = {
    ABSENT: (
        "no Hailo chip found: check that the board is seated and listed by `lspci -d 1e60:`, and that the"
        " driver is loaded (`lsmod | grep hailo`); install hailo-h10-all and dkms if it is not"
    ),
    BUSY: (
        "the Hailo chip is in use {who}: end it, or let it use the same group_id, here {group}"
        " (hailo-ollama wants it alone, or from 5.3 on the group in HAILO_OLLAMA_VDEVICE_GROUP_ID)"
    ),
    PERMISSION: (
        "no permission to open {nodes}: its group must be hailo-devices and this service's user a member"
        " (udev rules and group come with the package hailo-common)"
    ),
    MISMATCH: (
        "the kernel driver is {driver} and the HailoRT library {library}: install the same three-part"
        f" version of both, then {POWER}, which brings the driver's firmware onto the chip"
    ),
    _STALE: _FIRMWARE + " (driver {driver}, library {library})",
    _REFUSED: (
        "the driver {driver} refused to connect to the Hailo chip: after an upgrade of the driver the chip"
        f" still runs the firmware of before, and after a crash none at all: {POWER}; if this stays, see"
        " `dmesg | grep hailo`"
    ),
    WRONG: (
        "the chip found is not a Hailo-10H, and HailoRT 5 does not drive a Hailo-8: use a Hailo-10H,"
        " or set backend: cpu"
    ),
    UNREACHABLE: (
        "the Hailo chip does not answer: it may still be booting; if this stays, see `dmesg | grep hailo` for"
        f" missing firmware (/lib/firmware/hailo/hailo10h), and {POWER}"
    ),
}


@dataclass(frozen=True)
class Opening:
    """What was tried and found: the chips that `Device.scan()` lists, the library's version."""

    group_id: str
    scanned: Sequence[str]
    library: str


def hailort_status(error: BaseException) -> int | None:
    """HailoRT's number behind an exception, raw or wrapped, of any version; None when there is none."""
    first = error.args[0] if error.args else None
    if isinstance(first, str):
        if first.isdecimal() and len(first) <= 3:
            return int(first)
        if found := _WRAPPED.match(first):
            return int(found[1])
    names = (kind.__name__ for kind in type(error).__mro__)
    return next((_CLASSES[name] for name in names if name in _CLASSES), None)


def status_name(number: int) -> str:
    """HailoRT's name for a status number, without its prefix."""
    return _NAMES.get(number, "UNKNOWN")


def status_text(number: int | None) -> str:
    """The status for a message: `status 62, COMMUNICATION_CLOSED`."""
    return "no status" if number is None else f"status {number}, {status_name(number)}"


def damaged_hef(path: Path, number: int | None) -> str:
    """What is wrong with a HEF whose status is of `HEF_DAMAGED`, and how to get another."""
    return (
        f"{path}: the file is damaged or incomplete ({status_text(number)}); fetch it again: remove it, then"
        " `hailo-ctl models fetch`"
    )


def explain(error: BaseException, doing: str) -> ServiceError:
    """The error to raise for a HailoRT exception met while `doing` ("running the decoder").

    Always DeviceLost: after a failure nobody knows what the NPU still holds, so the engine is built anew.
    A ServiceError is returned as it is. The caller raises it `from error`, which keeps the cause in the log.
    """
    if isinstance(error, ServiceError):
        return error
    number = hailort_status(error)
    code, remedy = _REMEDIES.get(number or 0, ("device_lost", _GONE))
    return DeviceLost(
        f"HailoRT failed while {doing} ({status_text(number)}): {remedy}.", code=code, retry_after=5
    )


def why_not_open(error: BaseException, seen: Opening) -> DeviceLost:
    """The cause of a VDevice that HailoRT refused with `error`."""
    number = hailort_status(error)
    if number in _MEMORY:
        return DeviceLost(str(explain(error, "opening the chip")), code=OUT_OF_MEMORY, retry_after=5)
    cause = _cause(number, seen)
    text = _MESSAGES[cause].format(
        who=_who(),
        group=seen.group_id,
        nodes=", ".join(str(node) for node in nodes.closed_nodes() or nodes.device_nodes()) or "no node",
        driver=nodes.driver_version() or "of an unknown version",
        library=seen.library,
    )
    code = _CODES.get(cause, cause)
    return DeviceLost(f"{text} ({status_text(number)})", code=code, retry_after=5)


def _cause(number: int | None, seen: Opening) -> str:
    devices = nodes.sysfs_devices()
    if devices and not any(device.supported for device in devices):
        return WRONG
    if number == _OUT_OF_PHYSICAL_DEVICES:
        # The library says the same of an NPU that is not there and of one that is taken.
        return BUSY if seen.scanned else ABSENT
    if number == _DRIVER_OPERATION_FAILED and nodes.closed_nodes():
        return PERMISSION
    if number == _DRIVER_OPERATION_FAILED and not nodes.device_nodes():
        return ABSENT
    return _CAUSES.get(number or 0, UNREACHABLE)


def _who() -> str:
    found = nodes.holders(nodes.device_nodes())
    return (
        "by " + ", ".join(map(str, found))
        if found
        else "by another program (whose name this user may not see; `sudo hailo-ctl doctor` names it)"
    )

"""How the machine is: its temperature, and whether it slows down to stay cool or for want of power.

Read from the kernel's files at each scrape; what a machine does not have is left out.

Taking a node out of service: with its flag file there `/health/ready` says no; requests are answered.

Load balancers then send new requests elsewhere, and what is here ends in peace. The flag goes with a reboot.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from hailo_common.npu.device_nodes import sysroot

# Raspberry Pi's firmware: bits 0 to 3 are now, 16 to 19 since the start (vcgencmd get_throttled).
_FIRMWARE = "sys/devices/platform/soc*/*firmware/get_throttled"
_BITS = {0: "under_voltage", 1: "frequency_capped", 2: "throttled", 3: "temperature_limit"}


def temperature_c(root: Path | None = None) -> float | None:
    """The hottest thermal zone in degrees Celsius; None without any."""
    texts = _read("sys/class/thermal/thermal_zone*/temp", root)
    degrees = [int(text) / 1000 for text in texts if _whole(text)]
    return max(degrees, default=None)


def throttling(root: Path | None = None) -> dict[str, bool]:
    """What slows a Raspberry Pi down now, by name; empty on other machines."""
    for text in _read(_FIRMWARE, root):
        with contextlib.suppress(ValueError):
            return throttled(int(text, 16))
    return {}


def throttled(bits: int) -> dict[str, bool]:
    """The same by the firmware's number."""
    return {name: bool(bits >> bit & 1) for bit, name in _BITS.items()}


def _read(pattern: str, root: Path | None) -> list[str]:
    found = []
    for path in sorted((root or sysroot()).glob(pattern)):
        with contextlib.suppress(OSError, UnicodeDecodeError):
            found.append(path.read_text(encoding="ascii").strip())
    return found


def _whole(text: str) -> bool:
    return text.removeprefix("-").isdecimal()


REASON = "the node is being drained: hailo-ctl undrain takes it back"


def flag() -> Path:
    """The file whose presence drains the node."""
    return sysroot() / "run/hailo/drain"


def drained() -> bool:
    """True while load balancers shall send nothing new."""
    return flag().exists()

"""The machine: memory, temperature, power, disk, clock."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hailo_common.cli.doctor.check import CheckResult, System
from hailo_common.files import size_text
from hailo_common.host import temperature_c, throttled, throttling
from hailo_common.models.store import Store

_HOT_C, _THROTTLED_C = 70.0, 80.0
_LITTLE_BYTES = 1_000_000_000
_LEAST_FREE = 300_000_000
_GOOD_SUPPLY_MA = 5000
_SUPPLY = "/proc/device-tree/chosen/power/max_current"


def check_machine(system: System) -> Iterator[CheckResult]:
    """Memory, temperature, power supply, disk, clock."""
    yield from _memory(system)
    yield from _temperature(system)
    yield from _power(system)
    yield _disk(system)
    yield from _clock(system)


def _memory(system: System) -> Iterator[CheckResult]:
    memory = system.memory()
    if "MemAvailable" not in memory:
        yield CheckResult("memory", "unseen", "/proc/meminfo cannot be read")
        return
    available, total = memory["MemAvailable"], memory["MemTotal"]
    text = f"{size_text(available)} of {size_text(total)} available"
    if available < _LITTLE_BYTES:
        remedy = "stop other programs, or choose a smaller model: hailo-ctl models list"
        yield CheckResult("memory", "warn", text, remedy)
    else:
        yield CheckResult("memory", "ok", text)


def _temperature(system: System) -> Iterator[CheckResult]:
    hottest = temperature_c(system.paths.root)
    if hottest is None:
        yield CheckResult("temperature", "unseen", "this machine has no thermal sensor")
        return
    remedy = "cool it: the case's fan, the HAT's cooler, air around both" if hottest >= _HOT_C else ""
    state = "fail" if hottest >= _THROTTLED_C else "warn" if remedy else "ok"
    slow = ", at which the processor is throttled" if state == "fail" else ""
    yield CheckResult("temperature", state, f"{hottest:.0f} degrees Celsius{slow}", remedy)  # type: ignore[arg-type]


def _power(system: System) -> Iterator[CheckResult]:
    now = throttling(system.paths.root) or _asked(system)
    if not now:
        pass
    elif now["under_voltage"]:
        remedy = "use the 27 W supply for a Pi 5 with a HAT"
        yield CheckResult("power", "fail", "the supply voltage is too low now", remedy)
    elif now["frequency_capped"] or now["throttled"]:
        remedy = "cool the machine and check its supply"
        yield CheckResult("power", "warn", "the processor is throttled now", remedy)
    else:
        yield CheckResult("power", "ok", "voltage and frequency are normal")
    yield from _supply(system)


def _asked(system: System) -> dict[str, bool]:
    """What the firmware's own program says, where the kernel has no file of it."""
    match = re.search(r"throttled=0x([0-9a-fA-F]+)", system.run("vcgencmd", "get_throttled") or "")
    return throttled(int(match[1], 16)) if match else {}


def _supply(system: System) -> Iterator[CheckResult]:
    """What a Pi 5 agreed upon with its supply: 5 A, or 3 A of one that is too weak for a HAT."""
    try:
        current = int.from_bytes((system.paths.root / _SUPPLY.lstrip("/")).read_bytes()[:4], "big")
    except OSError:
        return
    if 0 < current < _GOOD_SUPPLY_MA:
        text = f"the power supply gives {current / 1000:g} A, and a Pi 5 with a Hailo board wants 5"
        yield CheckResult("power", "warn", text, "use the 27 W supply (5.1 V, 5 A) for a Pi 5 with a HAT")


def _disk(system: System) -> CheckResult:
    store = Store(system.paths.store())
    free = store.free_bytes()
    text = f"{size_text(free)} free for models in {store.root}"
    if free < _LEAST_FREE:
        return CheckResult(
            "disk",
            "fail",
            text,
            "make room: apt clean, journalctl --vacuum-size=100M, hailo-ctl models remove",
        )
    return CheckResult("disk", "ok", text)


def _clock(system: System) -> Iterator[CheckResult]:
    output = system.run("timedatectl", "show", "--property=NTPSynchronized", "--value")
    waiting = system.exists("/run/systemd/timesync") and not system.exists(
        "/run/systemd/timesync/synchronized"
    )
    if (output or "").strip() == "no" or (output is None and waiting):
        remedy = "certificates look invalid with a wrong clock, and downloads fail: timedatectl set-ntp true"
        yield CheckResult("clock", "warn", "not synchronised", remedy)

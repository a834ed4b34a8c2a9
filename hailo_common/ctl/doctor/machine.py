"""The machine: memory, temperature, power, disk, clock."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hailo_common.ctl.doctor.finding import Finding, Patient
from hailo_common.models.store import Store
from hailo_common.sizes import size_text

_HOT_C, _THROTTLED_C = 70.0, 80.0
_LITTLE_BYTES = 1_000_000_000
_LEAST_FREE = 300_000_000
# Bits of `vcgencmd get_throttled`: what is the case now.
_POWER, _CAPPED, _THROTTLED = 0x1, 0x2, 0x4


def check_machine(patient: Patient) -> Iterator[Finding]:
    """Memory, temperature, power supply, disk, clock."""
    yield from _memory(patient)
    yield from _temperature(patient)
    yield from _power(patient)
    yield _disk(patient)
    yield from _clock(patient)


def _memory(patient: Patient) -> Iterator[Finding]:
    lines = dict(re.findall(r"(\w+):\s+(\d+) kB", patient.read("/proc/meminfo")))
    if "MemAvailable" not in lines:
        yield Finding("memory", "unseen", "/proc/meminfo cannot be read")
        return
    available, total = (int(lines[name]) * 1024 for name in ("MemAvailable", "MemTotal"))
    text = f"{size_text(available)} of {size_text(total)} available"
    if available < _LITTLE_BYTES:
        remedy = "stop other programs, or give the model a smaller one: hailo-ctl models list"
        yield Finding("memory", "warn", text, remedy)
    else:
        yield Finding("memory", "ok", text)


def _temperature(patient: Patient) -> Iterator[Finding]:
    readings = [
        patient.read(f"/{path.relative_to(patient.places.root)}")
        for path in patient.glob("/sys/class/thermal/thermal_zone*/temp")
    ]
    degrees = [int(text) / 1000 for text in readings if text.lstrip("-").isdigit()]
    if not degrees:
        yield Finding("temperature", "unseen", "this machine shows no thermal sensor")
        return
    hottest = max(degrees)
    remedy = "cool it: the case's fan, the HAT's cooler, air around both" if hottest >= _HOT_C else ""
    state = "fail" if hottest >= _THROTTLED_C else "warn" if remedy else "ok"
    slow = ", where the processor slows down" if state == "fail" else ""
    yield Finding("temperature", state, f"{hottest:.0f} degrees Celsius{slow}", remedy)  # type: ignore[arg-type]


def _power(patient: Patient) -> Iterator[Finding]:
    told = patient.run("vcgencmd", "get_throttled")
    match = re.search(r"throttled=0x([0-9a-fA-F]+)", told or "")
    if not match:
        return
    now = int(match[1], 16)
    if now & _POWER:
        yield Finding(
            "power",
            "fail",
            "the supply's voltage is too low now",
            "use the 27 W supply for a Pi 5 with a HAT",
        )
    elif now & (_CAPPED | _THROTTLED):
        yield Finding(
            "power", "warn", "the processor is slowed down now", "cool the machine and check its supply"
        )
    else:
        yield Finding("power", "ok", "voltage and frequency are as they should be")


def _disk(patient: Patient) -> Finding:
    store = Store(patient.places.store())
    free = store.free_bytes()
    text = f"{size_text(free)} free for models in {store.root}"
    if free < _LEAST_FREE:
        return Finding(
            "disk",
            "fail",
            text,
            "make room: apt clean, journalctl --vacuum-size=100M, hailo-ctl models remove",
        )
    return Finding("disk", "ok", text)


def _clock(patient: Patient) -> Iterator[Finding]:
    told = patient.run("timedatectl", "show", "--property=NTPSynchronized", "--value")
    if told is not None and told.strip() == "no":
        remedy = "certificates look invalid with a wrong clock: timedatectl set-ntp true"
        yield Finding("clock", "warn", "not synchronised", remedy)

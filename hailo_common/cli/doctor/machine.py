"""The machine: memory, temperature, power, disk, clock.

What systemd says of the units.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from hailo_common.cli.doctor.finding import CheckResult, System, properties
from hailo_common.files import size_text
from hailo_common.models.store import Store

_HOT_C, _THROTTLED_C = 70.0, 80.0
_LITTLE_BYTES = 1_000_000_000
_LEAST_FREE = 300_000_000
# Bits of `vcgencmd get_throttled`: what is the case now.
_POWER, _CAPPED, _THROTTLED = 0x1, 0x2, 0x4


def check_machine(patient: System) -> Iterator[CheckResult]:
    """Memory, temperature, power supply, disk, clock."""
    yield from _memory(patient)
    yield from _temperature(patient)
    yield from _power(patient)
    yield _disk(patient)
    yield from _clock(patient)


def _memory(patient: System) -> Iterator[CheckResult]:
    lines = dict(re.findall(r"(\w+):\s+(\d+) kB", patient.read("/proc/meminfo")))
    if "MemAvailable" not in lines:
        yield CheckResult("memory", "unseen", "/proc/meminfo cannot be read")
        return
    available, total = (int(lines[name]) * 1024 for name in ("MemAvailable", "MemTotal"))
    text = f"{size_text(available)} of {size_text(total)} available"
    if available < _LITTLE_BYTES:
        remedy = "stop other programs, or give the model a smaller one: hailo-ctl models list"
        yield CheckResult("memory", "warn", text, remedy)
    else:
        yield CheckResult("memory", "ok", text)


def _temperature(patient: System) -> Iterator[CheckResult]:
    readings = [
        patient.read(f"/{path.relative_to(patient.places.root)}")
        for path in patient.glob("/sys/class/thermal/thermal_zone*/temp")
    ]
    degrees = [int(text) / 1000 for text in readings if text.lstrip("-").isdigit()]
    if not degrees:
        yield CheckResult("temperature", "unseen", "this machine shows no thermal sensor")
        return
    hottest = max(degrees)
    remedy = "cool it: the case's fan, the HAT's cooler, air around both" if hottest >= _HOT_C else ""
    state = "fail" if hottest >= _THROTTLED_C else "warn" if remedy else "ok"
    slow = ", where the processor slows down" if state == "fail" else ""
    yield CheckResult("temperature", state, f"{hottest:.0f} degrees Celsius{slow}", remedy)  # type: ignore[arg-type]


def _power(patient: System) -> Iterator[CheckResult]:
    told = patient.run("vcgencmd", "get_throttled")
    match = re.search(r"throttled=0x([0-9a-fA-F]+)", told or "")
    if not match:
        return
    now = int(match[1], 16)
    if now & _POWER:
        yield CheckResult(
            "power",
            "fail",
            "the supply's voltage is too low now",
            "use the 27 W supply for a Pi 5 with a HAT",
        )
    elif now & (_CAPPED | _THROTTLED):
        yield CheckResult(
            "power", "warn", "the processor is slowed down now", "cool the machine and check its supply"
        )
    else:
        yield CheckResult("power", "ok", "voltage and frequency are as they should be")


def _disk(patient: System) -> CheckResult:
    store = Store(patient.places.store())
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


def _clock(patient: System) -> Iterator[CheckResult]:
    told = patient.run("timedatectl", "show", "--property=NTPSynchronized", "--value")
    if told is not None and told.strip() == "no":
        remedy = "certificates look invalid with a wrong clock: timedatectl set-ntp true"
        yield CheckResult("clock", "warn", "not synchronised", remedy)


_NAMES = (
    "LoadState,ActiveState,SubState,Result,NRestarts,UnitFileState,StatusText,ExecMainStatus,MemoryCurrent"
)


def unit_state(patient: System, unit: str) -> Mapping[str, str] | None:
    """Properties of a unit; None where no systemd answers."""
    if not patient.exists("/run/systemd/system"):
        return None
    told = patient.run("systemctl", "show", unit, f"--property={_NAMES}")
    return None if told is None else properties(told)


def check_units(patient: System) -> Iterator[CheckResult]:
    """Are socket, service and timer as they should be?"""
    if unit_state(patient, "hailo-fetch.timer") is None:
        yield CheckResult("systemd", "unseen", "systemd does not run here, or does not answer")
        return
    for name in patient.services:
        yield from _socket(patient, name)
        yield from _service(patient, name)
    yield from _fetch(patient)


def _socket(patient: System, name: str) -> Iterator[CheckResult]:
    state = unit_state(patient, f"{name}.socket") or {}
    if state.get("LoadState") != "loaded":
        yield CheckResult(
            f"{name}: unit", "fail", f"{name}.socket is not installed", f"apt install --reinstall {name}"
        )
    elif state.get("ActiveState") != "active":
        text = f"{name}.socket is {state.get('ActiveState')} ({state.get('Result')})"
        remedy = f"systemctl enable --now {name}.socket; if it fails: journalctl -u {name}.socket"
        yield CheckResult(f"{name}: unit", "fail", text, remedy)


def _service(patient: System, name: str) -> Iterator[CheckResult]:
    state = unit_state(patient, f"{name}.service") or {}
    active, result = state.get("ActiveState", ""), state.get("Result", "")
    restarts = state.get("NRestarts", "0")
    area = f"{name}: unit"
    if state.get("LoadState") != "loaded":
        return
    if active in ("active", "activating"):
        text = f"{active}; {state.get('StatusText') or state.get('SubState', '')}"
        if restarts not in ("0", ""):
            yield CheckResult(
                area, "warn", f"{text}; started anew {restarts} times", f"journalctl -u {name} -p warning"
            )
        else:
            yield CheckResult(area, "ok", text)
    elif active == "failed":
        status = state.get("ExecMainStatus", "")
        why = " (a configuration or a model that cannot be used)" if status == "78" else ""
        text = f"failed: {result}, status {status}{why}"
        yield CheckResult(area, "fail", text, f"journalctl -u {name} -n 20; then: systemctl restart {name}")
    else:
        yield CheckResult(
            area, "warn", f"{active}; the first request starts it", f"systemctl enable --now {name}"
        )


def _fetch(patient: System) -> Iterator[CheckResult]:
    timer = unit_state(patient, "hailo-fetch.timer") or {}
    if timer.get("LoadState") == "loaded" and timer.get("ActiveState") != "active":
        yield CheckResult(
            "hailo-fetch: unit", "warn", "its timer does not run", "systemctl enable --now hailo-fetch.timer"
        )
    service = unit_state(patient, "hailo-fetch.service") or {}
    if service.get("ActiveState") == "failed":
        text = f"the last fetch failed with status {service.get('ExecMainStatus')}"
        yield CheckResult("hailo-fetch: unit", "warn", text, "journalctl -u hailo-fetch -n 20")
    elif service.get("ActiveState") == "activating":
        yield CheckResult(
            "hailo-fetch: unit", "ok", "models are being fetched now: journalctl -fu hailo-fetch"
        )

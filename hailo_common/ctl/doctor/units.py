"""What systemd says of the units."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hailo_common.ctl.doctor.finding import Finding, Patient, properties

_NAMES = (
    "LoadState,ActiveState,SubState,Result,NRestarts,UnitFileState,StatusText,ExecMainStatus,MemoryCurrent"
)


def unit_state(patient: Patient, unit: str) -> Mapping[str, str] | None:
    """Properties of a unit; None where no systemd answers."""
    if not patient.exists("/run/systemd/system"):
        return None
    told = patient.run("systemctl", "show", unit, f"--property={_NAMES}")
    return None if told is None else properties(told)


def check_units(patient: Patient) -> Iterator[Finding]:
    """Are socket, service and timer as they should be?"""
    if unit_state(patient, "hailo-fetch.timer") is None:
        yield Finding("systemd", "unseen", "systemd does not run here, or does not answer")
        return
    for name in patient.services:
        yield from _socket(patient, name)
        yield from _service(patient, name)
    yield from _fetch(patient)


def _socket(patient: Patient, name: str) -> Iterator[Finding]:
    state = unit_state(patient, f"{name}.socket") or {}
    if state.get("LoadState") != "loaded":
        yield Finding(
            f"{name}: unit", "fail", f"{name}.socket is not installed", f"apt install --reinstall {name}"
        )
    elif state.get("ActiveState") != "active":
        text = f"{name}.socket is {state.get('ActiveState')} ({state.get('Result')})"
        remedy = f"systemctl enable --now {name}.socket; if it fails: journalctl -u {name}.socket"
        yield Finding(f"{name}: unit", "fail", text, remedy)


def _service(patient: Patient, name: str) -> Iterator[Finding]:
    state = unit_state(patient, f"{name}.service") or {}
    active, result = state.get("ActiveState", ""), state.get("Result", "")
    restarts = state.get("NRestarts", "0")
    area = f"{name}: unit"
    if state.get("LoadState") != "loaded":
        return
    if active in ("active", "activating"):
        text = f"{active}; {state.get('StatusText') or state.get('SubState', '')}"
        if restarts not in ("0", ""):
            yield Finding(
                area, "warn", f"{text}; started anew {restarts} times", f"journalctl -u {name} -p warning"
            )
        else:
            yield Finding(area, "ok", text)
    elif active == "failed":
        status = state.get("ExecMainStatus", "")
        why = " (a configuration or a model that cannot be used)" if status == "78" else ""
        text = f"failed: {result}, status {status}{why}"
        yield Finding(area, "fail", text, f"journalctl -u {name} -n 20; then: systemctl restart {name}")
    else:
        yield Finding(
            area, "warn", f"{active}; the first request starts it", f"systemctl enable --now {name}"
        )


def _fetch(patient: Patient) -> Iterator[Finding]:
    timer = unit_state(patient, "hailo-fetch.timer") or {}
    if timer.get("LoadState") == "loaded" and timer.get("ActiveState") != "active":
        yield Finding(
            "hailo-fetch: unit", "warn", "its timer does not run", "systemctl enable --now hailo-fetch.timer"
        )
    service = unit_state(patient, "hailo-fetch.service") or {}
    if service.get("ActiveState") == "failed":
        text = f"the last fetch failed with status {service.get('ExecMainStatus')}"
        yield Finding("hailo-fetch: unit", "warn", text, "journalctl -u hailo-fetch -n 20")
    elif service.get("ActiveState") == "activating":
        yield Finding("hailo-fetch: unit", "ok", "models are being fetched now: journalctl -fu hailo-fetch")

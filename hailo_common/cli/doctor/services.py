"""The services: their units as systemd knows them, their ports, and what they answer."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hailo_common.cli.client import Client, NoAnswerError, Reply
from hailo_common.cli.doctor.check import CheckResult, State, System, properties
from hailo_common.config.common_keys import CommonSettings
from hailo_common.images import SAMPLE

_PROPERTIES = (
    "LoadState,ActiveState,SubState,Result,NRestarts,UnitFileState,StatusText,ExecMainStatus,MemoryCurrent"
)
_HOT_CHIP_C = 90.0
_POLL_S = 1.0
EXPECTED = ("red", "circle")
"""What the image shows."""


def unit_state(system: System, unit: str) -> Mapping[str, str] | None:
    """Properties of a unit; None where no systemd answers."""
    if not system.exists("/run/systemd/system"):
        return None
    output = system.run("systemctl", "show", unit, f"--property={_PROPERTIES}")
    return None if output is None else properties(output)


def check_packages(system: System) -> Sequence[CheckResult]:
    """One result where no package of a service is installed, as beside a checkout; else none.

    What the packages and their configuration consist of is then not missed file by file.
    """
    if not system.services or any(_is_packaged(system, name) for name in system.services):
        return ()
    names = " and ".join(system.services)
    text = (
        f"no package is installed here ({names}), so their configuration, models and units are not looked at"
    )
    return (CheckResult("packages", "unseen", text),)


def _is_packaged(system: System, name: str) -> bool:
    units = (
        system.exists(f"{folder}/systemd/system/{name}.socket") for folder in ("/usr/lib", "/lib", "/etc")
    )
    return system.paths.rendered(name).exists() or bool(system.paths.layers(name)) or any(units)


def check_units(system: System) -> Iterator[CheckResult]:
    """Are socket, service and timer as they should be?"""
    if unit_state(system, "hailo-fetch.timer") is None:
        yield CheckResult("systemd", "unseen", "systemd does not run here, or does not answer")
        return
    for name in system.services:
        yield from _socket_unit(system, name)
        yield from _service_unit(system, name)
    yield from _fetch_units(system)


def _socket_unit(system: System, name: str) -> Iterator[CheckResult]:
    state = unit_state(system, f"{name}.socket") or {}
    if state.get("LoadState") != "loaded":
        yield CheckResult(
            f"{name}: unit", "fail", f"{name}.socket is not installed", f"apt install --reinstall {name}"
        )
    elif state.get("ActiveState") != "active":
        text = f"{name}.socket is {state.get('ActiveState')} ({state.get('Result')})"
        remedy = f"systemctl enable --now {name}.socket; if it fails: journalctl -u {name}.socket"
        yield CheckResult(f"{name}: unit", "fail", text, remedy)


def _service_unit(system: System, name: str) -> Iterator[CheckResult]:
    state = unit_state(system, f"{name}.service") or {}
    active = state.get("ActiveState", "")
    restarts = state.get("NRestarts", "0")
    area = f"{name}: unit"
    if state.get("LoadState") != "loaded":
        return
    if active in ("active", "activating"):
        text = f"{active}; {state.get('StatusText') or state.get('SubState', '')}"
        if restarts not in ("0", ""):
            yield CheckResult(
                area, "warn", f"{text}; restarted {restarts} times", f"journalctl -u {name} -p warning"
            )
        else:
            yield CheckResult(area, "ok", text)
    elif active == "failed":
        yield _failed_unit(area, name, state)
    else:
        yield CheckResult(
            area, "warn", f"{active}; the first request starts it", f"systemctl enable --now {name}"
        )


def _failed_unit(area: str, name: str, state: Mapping[str, str]) -> CheckResult:
    status = state.get("ExecMainStatus", "")
    why = " (a configuration or a model that cannot be used)" if status == "78" else ""
    text = f"failed: {state.get('Result', '')}, status {status}{why}"
    return CheckResult(area, "fail", text, f"journalctl -u {name} -n 20; then: systemctl restart {name}")


def _fetch_units(system: System) -> Iterator[CheckResult]:
    timer = unit_state(system, "hailo-fetch.timer") or {}
    if timer.get("LoadState") == "loaded" and timer.get("ActiveState") != "active":
        yield CheckResult(
            "hailo-fetch: unit",
            "warn",
            "its timer is not running",
            "systemctl enable --now hailo-fetch.timer",
        )
    service = unit_state(system, "hailo-fetch.service") or {}
    if service.get("ActiveState") == "failed":
        text = f"the last fetch failed with status {service.get('ExecMainStatus')}"
        yield CheckResult("hailo-fetch: unit", "warn", text, "journalctl -u hailo-fetch -n 20")
    elif service.get("ActiveState") == "activating":
        yield CheckResult(
            "hailo-fetch: unit", "ok", "models are being fetched now: journalctl -fu hailo-fetch"
        )


def check_api(system: System) -> Iterator[CheckResult]:
    """Does each service answer, and truly?"""
    if not system.ask_api:
        yield CheckResult("services", "unseen", "were not asked anything")
        return
    for name, settings in system.settings():
        yield from _answers(name, settings, Client(settings))


def _answers(name: str, settings: CommonSettings, client: Client) -> Iterator[CheckResult]:
    area = f"{name}: API"
    try:
        health = client.get("/health")
    except NoAnswerError as error:
        remedy = (
            f"systemctl status {name}.socket {name}; who listens there: ss -ltnp 'sport = :{client.port}'"
        )
        yield CheckResult(area, "fail", str(error), remedy)
        return
    if "model_loaded" not in health.body:
        remedy = f"another program listens there: ss -ltnp 'sport = :{client.port}'"
        yield CheckResult(area, "fail", f"what answers at {client.where} is not {name}", remedy)
        return
    yield from _health(area, name, health)
    if health.body.get("model_loaded"):
        before = _counted(client)
        yield _golden(area, name, settings, client, otherwise=_otherwise(health.body))
        yield from _metrics(area, before, _counted(client))


def _counted(client: Client) -> int | None:
    """How many requests `/metrics` knows of; None where it does not answer so."""
    try:
        count = client.get("/metrics").body.get("requests_total")
    except NoAnswerError:
        return None
    return count if isinstance(count, int) else None


def _metrics(area: str, before: int | None, after: int | None) -> Iterator[CheckResult]:
    if before is None or after is None:
        yield CheckResult(area, "unseen", "/metrics does not answer this user; try with sudo")
    elif after > before:
        yield CheckResult(area, "ok", f"/metrics counts requests: {after}")
    else:
        text = f"/metrics did not count the request: {before} before, {after} after"
        yield CheckResult(area, "fail", text, "is something else listening there: ss -ltnp")


def _health(area: str, name: str, health: Reply) -> Iterator[CheckResult]:
    status, body = str(health.body.get("status")), health.body
    stages = [stage for stage in body.get("stages", ()) if isinstance(stage, dict)]
    where = "; ".join(f"{stage.get('name')} on {stage.get('backend')}" for stage in stages)
    if status == "healthy":
        yield CheckResult(area, "ok", f"healthy, {body.get('model')}" + (f" ({where})" if where else ""))
    elif status == "degraded":
        why = body.get("error") or next((s.get("reason") for s in stages if s.get("fell_back")), "")
        yield CheckResult(
            area, "warn", f"degraded: {why}", f"wait if it is loading; else: journalctl -u {name} -n 20"
        )
    else:
        yield CheckResult(area, "fail", f"{status}: {body.get('error')}", f"journalctl -u {name} -n 20")
    heat = [each for each in body.get("chip_temperature_c") or () if isinstance(each, (int, float))]
    if heat and max(heat) >= _HOT_CHIP_C:
        yield CheckResult("device", "warn", f"the NPU is at {max(heat):.0f} degrees Celsius", "cool the HAT")


def _golden(
    area: str, name: str, settings: CommonSettings, client: Client, *, otherwise: State
) -> CheckResult:
    path, request = golden_request(name)
    began = time.monotonic()
    try:
        reply = client.post(path, request, settings.request_timeout_s + settings.queue_timeout_s)
    except NoAnswerError as error:
        return CheckResult(area, "fail", f"an image of a red circle: {error}", f"journalctl -u {name} -n 20")
    if reply.status == 401:
        return CheckResult(area, "unseen", "requires a key that this user cannot read; try with sudo")
    if reply.status != 200:
        text = f"an image of a red circle: status {reply.status}: {reply.message}"
        return CheckResult(area, "fail", text, f"journalctl -u {name} -n 20")
    answer = answer_of(reply.body)
    took = f"{answer!r} in {time.monotonic() - began:.1f} s"
    if all(word in answer.lower() for word in EXPECTED):
        return CheckResult(area, "ok", f"an image of a red circle is {took}")
    remedy = "hailo-ctl models verify; if its files are good, try the other backend: backend=cpu"
    if otherwise == "ok" and answer:
        remedy = ""
    return CheckResult(area, otherwise if answer else "fail", f"an image of a red circle is {took}", remedy)


def _otherwise(body: Mapping[str, Any]) -> State:
    """What another answer than the true one means: a real model may say it in other words.

    The demo model of shapes has learnt just these, and to that of everyday things a circle is nothing.
    """
    if not body.get("demo"):
        return "warn"
    return "fail" if "shapes" in str(body.get("description")) else "ok"


def golden_request(name: str) -> tuple[str, dict[str, Any]]:
    """Path and body of the request about the red circle."""
    if name == "hailo-florence":
        return "/v1/caption", {"image": SAMPLE}
    return "/v1/vision/analyze", {"prompt": "Describe the image.", "images": [SAMPLE], "max_tokens": 64}


def answer_of(body: Mapping[str, Any]) -> str:
    """The text of an answer of either service, empty if there is none."""
    results = body.get("results")
    entry = results[0] if isinstance(results, list) and results and isinstance(results[0], dict) else body
    return str(entry.get("caption") or entry.get("analysis") or "").strip()


def check_loaded(system: System, wait_s: float) -> Iterator[CheckResult]:
    """Wait until every service has its model, `wait_s` seconds in all; one that has none then has failed."""
    end = time.monotonic() + wait_s
    for name, settings in system.settings():
        client = Client(settings)
        while not (loaded := _loaded(client)) and time.monotonic() < end:
            time.sleep(_POLL_S)
        if not loaded:
            text = f"no model is loaded after {wait_s:g} s"
            yield CheckResult(f"{name}: API", "fail", text, f"journalctl -u {name} -n 20")


def _loaded(client: Client) -> bool:
    try:
        health = client.get("/health").body
    except NoAnswerError:
        return False
    # A model that is away because nobody needed it is healthy too.
    return bool(health.get("model_loaded")) or health.get("status") == "healthy"

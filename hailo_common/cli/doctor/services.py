"""The services themselves: port, health, and a picture of which everybody knows what it shows.

`doctor --wait`: after a start or an upgrade, give the models time to load, and then insist on them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from hailo_common.cli.client import Client, NoAnswerError, Reply
from hailo_common.cli.doctor.finding import CheckResult, System
from hailo_common.config.common_keys import CommonSettings, service_settings
from hailo_common.config.load import load
from hailo_common.errors import ConfigError
from hailo_common.images.sample import SAMPLE

_HOT_CHIP_C = 90.0
EXPECTED = ("red", "circle")
"""What the picture shows."""


def check_api(patient: System) -> Iterator[CheckResult]:
    """Does each service answer, and truly?"""
    for name in patient.services:
        try:
            settings = load(service_settings(name), name, patient.places)
        except ConfigError:
            # `check_configuration` has said it.
            continue
        yield from _service(name, settings, Client(settings), golden=patient.ask_api)


def _service(name: str, settings: CommonSettings, client: Client, *, golden: bool) -> Iterator[CheckResult]:
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
        yield CheckResult(area, "fail", f"{client.where} is not answered by {name}", remedy)
        return
    yield from _health(area, name, health)
    if golden and health.body.get("model_loaded"):
        yield _golden(area, name, settings, client, demo=bool(health.body.get("demo")))


def _health(area: str, name: str, health: Reply) -> Iterator[CheckResult]:
    status, body = str(health.body.get("status")), health.body
    stages = [stage for stage in body.get("stages", ()) if isinstance(stage, dict)]
    where = "; ".join(f"{stage.get('name')} on {stage.get('backend')}" for stage in stages)
    if status == "healthy":
        yield CheckResult(area, "ok", f"healthy, {body.get('model')}" + (f" ({where})" if where else ""))
    elif status == "degraded":
        why = body.get("error") or next((s.get("reason") for s in stages if s.get("fell_back")), "")
        yield CheckResult(
            area, "warn", f"degraded: {why}", f"wait if it loads; else: journalctl -u {name} -n 20"
        )
    else:
        yield CheckResult(area, "fail", f"{status}: {body.get('error')}", f"journalctl -u {name} -n 20")
    heat = [each for each in body.get("chip_temperature_c") or () if isinstance(each, (int, float))]
    if heat and max(heat) >= _HOT_CHIP_C:
        yield CheckResult("device", "warn", f"the chip has {max(heat):.0f} degrees Celsius", "cool the HAT")


def _golden(area: str, name: str, settings: CommonSettings, client: Client, *, demo: bool) -> CheckResult:
    path, request = golden_request(name)
    began = time.monotonic()
    try:
        reply = client.post(path, request, settings.request_timeout_s + settings.queue_timeout_s)
    except NoAnswerError as error:
        return CheckResult(area, "fail", f"a picture of a red circle: {error}", f"journalctl -u {name} -n 20")
    if reply.status == 401:
        return CheckResult(area, "unseen", "wants a key that this user may not read; try with sudo")
    if reply.status != 200:
        text = f"a picture of a red circle: status {reply.status}: {reply.message}"
        return CheckResult(area, "fail", text, f"journalctl -u {name} -n 20")
    answer = answer_of(reply.body)
    took = f"{answer!r} in {time.monotonic() - began:.1f} s"
    if all(word in answer.lower() for word in EXPECTED):
        return CheckResult(area, "ok", f"a picture of a red circle is {took}")
    remedy = "hailo-ctl models verify; if its files are good, try the other backend: backend=cpu"
    # A real model may say it in other words; the demo model has learnt just these.
    return CheckResult(area, "fail" if demo else "warn", f"a picture of a red circle is {took}", remedy)


def golden_request(name: str) -> tuple[str, dict[str, Any]]:
    """Path and body of the question about the picture."""
    if name == "hailo-florence":
        return "/v1/caption", {"image": SAMPLE}
    return "/v1/vision/analyze", {"prompt": "Describe the image.", "images": [SAMPLE], "max_tokens": 64}


def answer_of(body: Mapping[str, Any]) -> str:
    """The text of an answer of either service, empty if there is none."""
    results = body.get("results")
    entry = results[0] if isinstance(results, list) and results and isinstance(results[0], dict) else body
    return str(entry.get("caption") or entry.get("analysis") or "").strip()


_POLL_S = 1.0


def check_loaded(patient: System, wait_s: float) -> Iterator[CheckResult]:
    """Wait until every service has its model, `wait_s` seconds in all; one that has none then has failed."""
    end = time.monotonic() + wait_s
    for name in patient.services:
        try:
            client = Client(load(service_settings(name), name, patient.places))
        except ConfigError:
            # `check_configuration` says it.
            continue
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

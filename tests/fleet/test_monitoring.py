"""Rules and dashboard: accepted by promtool, and every metric in them is one that a service really shows."""

from __future__ import annotations

import json
import re
import shutil
from typing import Any

import httpx
import pytest
import yaml

from tests.fleet.roots import told
from tests.hailo_florence.api.conftest import data_uri, red_circle
from tests.hailo_florence.api.running import started
from tests.machine.roots import TREE, Root

MONITORING = TREE / "fleet/monitoring"
DASHBOARD = MONITORING / "hailo-fleet.json"
ELSEWHERE = {"up", "hailo_fleet_upgrade_result", "haproxy_server_status"}
"""Metrics of Prometheus itself, of hailo-fleet-node and of HAProxy, which other tests read."""
ON_HARDWARE = {"chip_temperature_celsius", "host_temperature_celsius", "host_throttled"}
"""Shown where there is a sensor; tests of the simulated chip and of the machine's files read them."""
_WORDS = {
    *(
        "sum",
        "by",
        "rate",
        "increase",
        "max",
        "count",
        "histogram_quantile",
        "le",
        "node",
        "service",
        "status",
    ),
    *(
        "code",
        "reason",
        "proxy",
        "task",
        "result",
        "version",
        "model",
        "fingerprint",
        "backend",
        "label_values",
    ),
}


@pytest.fixture(scope="module")
def exposed() -> set[str]:
    """Names of all series of both services after one answer each, as Prometheus stores them."""
    names: set[str] = set()
    body = {"image": data_uri(red_circle((64, 64)))}
    chat = {
        "model": "qwen2-vl-2b-instruct",
        "messages": [{"role": "user", "content": "Who are you?"}],
        "max_tokens": 4,
    }
    for module, path, request in (
        ("hailo_florence", "/v1/caption", body),
        ("hailo_vision", "/v1/chat/completions", chat),
    ):
        with started((module, "--demo", "shapes")) as running:
            assert running.client.post(path, json=request).status_code == 200
            assert running.client.post(path, json={"nonsense": 1}).status_code >= 400
            names |= _series(running.client.get("/metrics"))
    return names


def _series(answer: httpx.Response) -> set[str]:
    lines = [line for line in answer.text.splitlines() if line and not line.startswith("#")]
    return {re.split("[{ ]", line, maxsplit=1)[0] for line in lines}


def _expressions() -> list[str]:
    rules = yaml.safe_load((MONITORING / "hailo-alerts.yml").read_text())
    found = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    dashboard: dict[str, Any] = json.loads(DASHBOARD.read_text())
    found += [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    return found + [
        variable["query"]["query"]
        for variable in dashboard["templating"]["list"]
        if variable["type"] == "query"
    ]


def _metrics(expression: str) -> set[str]:
    """The names of metrics in an expression; of a pattern over both services, both names."""
    patterns = re.findall(r'__name__=~"hailo_\(vision\|florence\)_(\w+)"', expression)
    found = {f"hailo_{service}_{name}" for name in patterns for service in ("vision", "florence")}
    plain = re.sub(r'"[^"]*"', "", expression)
    plain = re.sub(r"\{[^}]*\}|\[[^]]*\]|by \([^)]*\)", " ", plain)
    return found | {word for word in re.findall(r"[a-z_]{2,}", plain) if word not in _WORDS}


def test_the_expressions_name_metrics_at_all() -> None:
    named = set().union(*map(_metrics, _expressions()))
    assert len(named) > 25
    assert {"up", "http_requests_total", "hailo_vision_build_info", "hailo_florence_engine_ready"} <= named


def test_every_metric_is_one_that_a_service_shows(exposed: set[str]) -> None:
    named = set().union(*map(_metrics, _expressions()))
    rare = {f"hailo_{service}_{name}" for service in ("vision", "florence") for name in ON_HARDWARE}
    assert named - exposed - ELSEWHERE - rare == set()


def test_the_dashboard_shows_what_an_operator_needs() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    titles = " ".join(panel["title"].lower() for panel in dashboard["panels"])
    for word in ("up", "ready", "queue", "latency", "tokens", "temperature", "throttling", "restarts"):
        assert word in titles
    for word in ("by task", "cameras", "damaged"):
        assert word in titles
    assert "versions" in titles
    assert "models" in titles
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))


@pytest.mark.fleet
def test_promtool_accepts_the_files_and_the_alerts_fire_when_they_should(hub: Root) -> None:
    shutil.copytree(MONITORING, hub.file("/root/monitoring"))
    assert "SUCCESS" in told(hub, "cd /root/monitoring && promtool check config prometheus.yml")
    assert "SUCCESS" in told(hub, "cd /root/monitoring && promtool check rules hailo-alerts.yml")
    assert "SUCCESS" in told(hub, "cd /root/monitoring && promtool test rules hailo-alerts.test.yml")

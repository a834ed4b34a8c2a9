"""The files of fleet/ that people copy, checked by the programs that read them."""

from __future__ import annotations

import re
import shutil

import pytest
import yaml

from tests.fleet.roots import told
from tests.machine.roots import TREE, Root

FLEET = TREE / "fleet"
SCRIPTS = (
    *(FLEET / name for name in ("node/provision.sh", "gateway/hailo-gateway", "node/hailo-fleet-guard")),
    *sorted((TREE / "debian").glob("hailo-gateway.p*")),
    *sorted((TREE / "debian").glob("hailo-fleet-node.p*")),
    TREE / "debian/hailo-gateway.config",
)
_YAMLLINT = (
    "{extends: default, rules: {line-length: disable, document-start: disable,"
    " comments: {require-starting-space: false}, truthy: {check-keys: false}}}"
)
Question = tuple[str, str]
"""Type and default of a question."""


@pytest.mark.fleet
def test_the_programs_that_read_the_files_find_no_fault(hub: Root) -> None:
    shutil.copytree(FLEET, hub.file("/root/fleet"))
    hub.file("/root/scripts").mkdir()
    for script in SCRIPTS:
        shutil.copy(script, hub.file("/root/scripts"))
    assert told(hub, "cd /root/scripts && shellcheck -s sh -e SC1091,SC2154 *") == ""
    assert told(hub, f"cd /root/fleet && yamllint --strict -d '{_YAMLLINT}' .") == ""
    assert "Valid schema" in told(hub, "cloud-init schema -c /root/fleet/node/cloud-init.yaml")
    told(hub, "debconf-set-selections --checkonly /root/fleet/node/preseed.cfg")
    shutil.copy(FLEET / "repository/nginx.conf", hub.file("/etc/nginx/conf.d"))
    assert "test is successful" in told(hub, "nginx -t")
    told(hub, "systemd-analyze verify --man=no /root/fleet/repository/hailo-repository-refresh.timer")


def test_preseed_answers_every_question_with_its_type_and_default() -> None:
    lines = re.findall(
        r"^\S+ (\S+/\S+) (\S+)(?: (.*))?$", (FLEET / "node/preseed.cfg").read_text(), re.MULTILINE
    )
    assert {name: (kind, default) for name, kind, default in lines} == _questions()


def _questions() -> dict[str, Question]:
    """Every question of the packages."""
    found: dict[str, Question] = {}
    for path in sorted((TREE / "debian").glob("*.templates*")):
        for stanza in path.read_text().split("\n\n"):
            fields = dict(re.findall(r"^(Template|Type|Default): ?(.*)$", stanza, re.MULTILINE))
            if fields and fields["Type"] not in ("note", "error", "text"):
                for name in _names(fields["Template"]):
                    default = fields.get("Default", "").replace("@PORT@", _port(name))
                    found[name] = (fields["Type"], default)
    return found


def _names(template: str) -> list[str]:
    services = ("hailo-vision", "hailo-florence") if "@SERVICE@" in template else ("",)
    return [template.replace("@SERVICE@", service) for service in services]


def _port(question: str) -> str:
    return {"hailo-vision/port": "11435", "hailo-florence/port": "11438"}.get(question, "")


def test_every_alert_is_tested() -> None:
    rules = yaml.safe_load((FLEET / "monitoring/hailo-alerts.yml").read_text())
    names = {rule["alert"] for group in rules["groups"] for rule in group["rules"]}
    tests = yaml.safe_load((FLEET / "monitoring/hailo-alerts.test.yml").read_text())["tests"]
    fired = {each["alertname"] for test in tests for each in test["alert_rule_test"] if each["exp_alerts"]}
    assert fired == names

"""Day one as people have it: plain `apt install` of one service or both ends in the real model's answer.

What is recommended comes too: the demo models, which answer until the real model is there, and llama.cpp.
"""

from __future__ import annotations

import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hailo_common.ipc import landlock
from tests.machine.asking import PORTS, caption, described, get, ready
from tests.machine.machine import Machine
from tests.machine.publishing import published
from tests.machine.random_models import FLORENCE, MODELS

TRUST = {"hailo-florence": {"stated"}, "hailo-vision": {"stated"}}
EXPECTED = {"hailo-florence": (FLORENCE,), "hailo-vision": tuple(name for name in MODELS if "gguf" in name)}
"""What the services take by themselves; which GGUF model, the number of cores says."""


def rows_of(machine: Machine) -> dict[str, dict[str, Any]]:
    """What `hailo-ctl models list` says of every model."""
    listed: list[dict[str, Any]] = json.loads(machine.run("hailo-ctl models list --json").stdout)
    return {row["name"]: row for row in listed}


def served(machine: Machine, service: str) -> dict[str, Any]:
    """The first entry of `/v1/models`."""
    status, body = get(machine, PORTS[service], "/v1/models")
    return dict(body["data"][0]) if status == 200 else {}


def answers_for_real(machine: Machine, service: str) -> bool:
    """True when it answers, and not with the embedded model."""
    return ready(machine, PORTS[service]) and served(machine, service).get("demo") is False


@pytest.mark.parametrize(
    "services", [("hailo-florence",), ("hailo-vision",), tuple(sorted(PORTS))], ids="+".join
)
def test_plain_apt_install_ends_in_an_answer_of_the_real_model(
    prepared: list[Path], apt_repository: Path, services: tuple[str, ...]
) -> None:
    with published(prepared, apt_repository) as machine:
        began = time.monotonic()
        command = f"DEBIAN_FRONTEND=noninteractive apt-get install --yes {' '.join(services)}"
        output = machine.run(f"apt-get -qq update && {command} 2>&1 </dev/null", timeout=1800).stdout
        installed = time.monotonic() - began
        assert "Traceback" not in output
        for service in services:
            what = f"{service} has its real model"
            machine.wait(what, partial(answers_for_real, machine, service), 300)
        there = time.monotonic() - began
        rows = rows_of(machine)
        print(f"\n{services}: installed {installed:.0f} s, real models after {there:.0f} s")
        for service in services:
            check_answer(machine, service, rows)
        for service in PORTS.keys() - set(services):
            assert get(machine, PORTS[service], "/health")[0] == 0
            assert not [row["name"] for row in rows.values() if service in row.get("wanted", "")]
        wanted = {row["name"] for row in rows.values() if row["wanted"]}
        assert set(machine.run("ls /var/lib/hailo-models").stdout.split()) == wanted
        assert machine.run("systemctl --failed --no-legend --plain").stdout == ""


def check_answer(machine: Machine, service: str, rows: dict[str, dict[str, Any]]) -> None:
    """The answer comes from the model that this machine wants, which is whole and trusted as it should be."""
    [row] = [row for row in rows.values() if row["wanted"].startswith(f"{service} uses it: ")]
    assert row["name"] in EXPECTED[service]
    assert (row["state"], set(row["trust"].values())) == ("complete", TRUST[service])
    entry = served(machine, service)
    # A GGUF file names itself, without the mark of its format.
    assert row["name"].startswith(entry.get("root", entry["id"])), entry
    source = get(machine, PORTS[service], "/health")[1]["model_source"]
    assert source["folder"] == f"/var/lib/hailo-models/{row['name']}"
    assert source["trust"] == {"stated": len(row["trust"])}
    if service == "hailo-florence":
        answer = caption(machine)
        assert answer["model"] == row["name"]
        text = answer["caption"]
    else:
        text = described(machine, entry["id"])
    # The engine and the libraries that it loads, llama.cpp's kernels among them, stand behind all walls.
    assert "less confined" not in machine.journal(service) or landlock.version() < 6
    print(f"{service}: {row['name']}, {row['wanted']}: {text[:40]!r}")
    assert text.strip()
    # For people, too: each way to trust a file with the number of files.
    told = machine.run("hailo-ctl models list").stdout
    for trust in TRUST[service]:
        assert f" {trust}" in told.partition(f"\n{row['name']}: ")[2].partition("\n\n")[0]

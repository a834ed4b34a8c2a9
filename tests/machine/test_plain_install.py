"""Day one of one service alone: it comes with its own model and nothing of the other's. Long form."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.machine.asking import CAPTION, PORTS, caption, chat, get, ready
from tests.machine.publishing import SERVICES, published

TRUST = {
    "hailo-florence": {"stated"},
    "hailo-vision": {"stated", "first use, from huggingface.co"},
}


@pytest.mark.parametrize("service", sorted(PORTS))
def test_one_service_alone(prepared: list[Path], apt_repository: Path, service: str) -> None:
    other = next(name for name in PORTS if name != service)
    with published(prepared, apt_repository) as machine:
        began = time.monotonic()
        output = machine.run(
            "apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get install --yes"
            f" --no-install-recommends {service} 2>&1 </dev/null",
            timeout=1800,
        ).stdout
        installed = time.monotonic() - began
        assert "Traceback" not in output
        machine.wait("it has its model", lambda: ready(machine, PORTS[service]), 300)
        answer = caption(machine)["caption"] if service == "hailo-florence" else chat(machine).lower()
        answered = time.monotonic() - began
        assert answer == CAPTION if service == "hailo-florence" else "red" in answer
        print(f"\n{service} alone: installed {installed:.0f} s, an answer after {answered:.0f} s: {answer}")
        assert get(machine, PORTS[other], "/health")[0] == 0
        rows = {row["name"]: row for row in json.loads(machine.run("hailo-ctl models list --json").stdout)}
        row = rows[SERVICES[service]]
        assert (row["state"], set(row["trust"].values())) == ("complete", TRUST[service])
        assert rows[SERVICES[other]]["state"] == "absent"
        # For people, too: each way to trust a file with the number of files.
        told = machine.run("hailo-ctl models list").stdout
        for trust in TRUST[service]:
            assert f" {trust}" in told.partition(f"\n{SERVICES[service]}: ")[2].partition("\n\n")[0]
        here = machine.run("ls /var/lib/hailo-models").stdout.split()
        assert SERVICES[service] in here
        assert SERVICES[other] not in here
        assert machine.run("systemctl --failed --no-legend --plain").stdout == ""

"""`apt install hailo-vision` on a Raspberry Pi with a Hailo-10H: the HEF of its release comes and answers.

The chip is the simulator's; packages, units, sandbox, fetcher and service are the real ones. Minutes.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hailo_common.inference.backend import NAMES
from hailo_common.models.manifest import Model
from hailo_common.npu.hef import HEAD_BYTES
from tests.machine.asking import PORTS, chat, get, ready
from tests.machine.machine import Machine, booted
from tests.machine.roots import TREE, overlay
from tests.machine.simulated_pi import DEBIANS, PIPS, library, node, plug_in, publish
from tests.npu import Machine as Chip

MIRROR = "http://127.0.0.1:8000"
STORE = "/var/lib/hailo-models"
PORT = PORTS["hailo-vision"]
INSTALL = "apt-get -qq update && apt-get install --yes"


@dataclass
class Pi:
    """A machine, its chip, and what the mirror has."""

    machine: Machine
    chip: Chip
    models: dict[str, Model]

    @property
    def version(self) -> str:
        """The release of its library and driver."""
        return self.chip.version

    def models_there(self) -> list[str]:
        """The models of which something is in the store."""
        return sorted(self.machine.run(f"ls {STORE}").stdout.split())

    def health(self) -> dict[str, Any]:
        """What the service says of itself."""
        return dict(get(self.machine, PORT, "/health")[1])

    def wait_for(self, model: str) -> dict[str, Any]:
        """Wait until this model of the store answers; what the service says of itself then."""

        def there() -> bool:
            source = self.health().get("model_source") or {}
            return source.get("folder") == f"{STORE}/{model}" and ready(self.machine, PORT)

        self.machine.wait(f"{model} is loaded", there, 300)
        return self.health()


@pytest.fixture(scope="module", params=["5.1.1", "5.4.0"])
def pi(request: pytest.FixtureRequest, prepared: list[Path], apt_repository: Path) -> Iterator[Pi]:
    """A Pi without our packages: Raspberry Pi OS as it is, or with Hailo's own 5.4.0 and its wheel."""
    with overlay(*prepared) as view, plug_in(view, request.param) as chip:
        mirror = view / "srv/mirror"
        models = publish(view, mirror)
        shutil.copy(TREE / "docs/sample.jpg", view / "root/sample.jpg")
        with booted(view, apt_repository) as machine:
            machine.run(f"{node(chip)}; systemd-run python3 -m http.server --directory /srv/mirror 8000")
            machine.run(f"echo 'hailo-common hailo-common/mirror string {MIRROR}' | debconf-set-selections")
            if request.param != "5.1.1":
                machine.run(f"{INSTALL} hailort h10-hailort-pcie-driver")
                library(view / PIPS, request.param)
            yield Pi(machine, chip, models)


def test_apt_install_and_no_further_command(pi: Pi) -> None:
    output = pi.machine.run(f"{INSTALL} hailo-vision 2>&1", timeout=1800).stdout
    assert "Traceback" not in output
    model = f"qwen2-vl-2b-instruct-hailo10h-{pi.version}"
    health = pi.wait_for(model)
    assert {stage["backend"] for stage in health["stages"]} == {NAMES["npu"]}
    assert (health["hailo_device"], health["hailo_driver"]) == ("connected", pi.version)
    assert "red" in chat(pi.machine).lower()
    assert pi.models_there() == [model]
    hef = pi.machine.file(f"{STORE}/{model}/Qwen2-VL-2B-Instruct.hef").read_bytes()
    assert f"sdk-version: {pi.version}".encode() in hef[:HEAD_BYTES]


def test_the_vendors_packages_are_those_of_the_release(pi: Pi) -> None:
    listing = pi.machine.run("dpkg-query --show --showformat '${Package} ${Version}\\n'").stdout
    versions = dict(line.split() for line in listing.splitlines())
    if pi.version == "5.1.1":
        assert {"hailo-appliance-npu", "hailo-h10-all", "dkms"} <= set(versions)
        assert pi.machine.file(f"{DEBIANS}/hailo_platform").is_dir()
    else:
        assert versions["hailort"] == pi.version
        assert not {"hailo-appliance-npu", "hailo-h10-all", "h10-hailort"} & set(versions)


def test_qwen3_vl_is_a_command_away_from_5_3_on(pi: Pi) -> None:
    """It is nobody's default: it answers better, and slower."""
    if pi.version == "5.1.1":
        pytest.skip("there is no HEF of it for this release")
    model = f"qwen3-vl-2b-instruct-hailo10h-{pi.version}"
    pi.machine.run(f"hailo-ctl config set hailo-vision model={model}")
    pi.machine.run("systemctl restart hailo-vision; systemctl start --no-block hailo-fetch")
    health = pi.wait_for(model)
    assert {stage["backend"] for stage in health["stages"]} == {NAMES["npu"]}
    assert health["limits"]["max_images"] == 1
    assert chat(pi.machine)


def test_doctor_finds_the_chip_well(pi: Pi) -> None:
    findings = json.loads(pi.machine.run("hailo-ctl doctor --wait 60 --json").stdout)["findings"]
    assert [each for each in findings if each["state"] == "fail"] == []

"""Day one: `apt install`, and with no further command a service answers with the manifest's real file set."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.machine.asking import PORTS, caption, described, get, ready
from tests.machine.machine import Machine
from tests.machine.publishing import published
from tests.machine.random_models import CHAT, FLORENCE
from tests.machine.roots import TREE

SERVICES = {"hailo-florence": FLORENCE, "hailo-vision": CHAT}
REASONS = {"hailo-florence": "the largest on the CPU", "hailo-vision": "the only kind that runs here, slow"}
"""Without llama.cpp, which is recommended only."""


@pytest.fixture(scope="module")
def machine(prepared: list[Path], apt_repository: Path) -> Iterator[Machine]:
    """A machine without our packages, and the publishers."""
    with published(prepared, apt_repository) as running:
        yield running


def test_apt_install_and_no_further_command(machine: Machine) -> None:
    """Without the demo models, so that the services wait where everybody can see it."""
    command = "apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get install --yes"
    output = machine.run(
        f"{command} --no-install-recommends hailo-florence hailo-vision 2>&1", timeout=1800
    ).stdout
    assert "Traceback" not in output
    told: set[str] = set()

    def arrived() -> bool:
        for port in PORTS.values():
            told.add(str(get(machine, port, "/health/ready")[1]))
        told.add(machine.state("hailo-fetch.service", "StatusText"))
        return all(ready(machine, port) for port in PORTS.values())

    machine.wait("both services have their models", arrived, 300)
    everything = "\n".join(told)
    assert "is being fetched: " in everything, everything
    assert " %" in everything
    assert "'message': " not in everything
    answer = caption(machine)
    assert answer["model"] == FLORENCE
    assert answer["caption"].strip()
    assert described(machine, CHAT).strip()


def test_the_real_file_set_is_in_place_and_trusted_as_it_should_be(machine: Machine) -> None:
    rows = {row["name"]: row for row in json.loads(machine.run("hailo-ctl models list --json").stdout)}
    for service, name in SERVICES.items():
        row = rows[name]
        assert (row["state"], row["service"]) == ("complete", service)
        assert row["wanted"].startswith(f"{service} uses it: {REASONS[service]}")
    assert set(rows["florence-2-base-ft-onnx"]["trust"].values()) == {"stated"}
    trust = rows["qwen2-vl-2b-instruct-onnx"]["trust"]
    assert trust["onnx/decoder_model_merged_q4.onnx"] == "first use, from huggingface.co"
    assert trust["chat_template.json"] == "stated"
    health = get(machine, PORTS["hailo-vision"], "/health")[1]
    assert health["model_source"]["trust"] == {"first use, from huggingface.co": 8, "stated": 1}
    journal = machine.journal("hailo-fetch.service")
    assert "pinned to SHA-256" in journal
    assert "(first use, from huggingface.co)" in journal
    # The publisher changes its mind: what was pinned is what comes, or nothing.
    machine.run("rm -r /var/lib/hailo-models/qwen2-vl-2b-instruct-onnx")
    for changed in (machine.path / "srv/publishers").rglob("decoder_model_merged_q4.onnx"):
        changed.write_bytes((TREE / "hailo_vision/demo_model/onnx/vision_encoder.onnx").read_bytes())
    machine.run("systemctl start hailo-fetch.service", check=False)
    assert "instead of" in machine.journal("hailo-fetch.service")


def test_the_other_ways_to_trust_a_file(machine: Machine) -> None:
    store = "/var/lib/hailo-models/florence-2-base-hailo8"
    machine.run(f"install -d -o hailo-fetch {store} && echo '{{}}' >{store}/tokenizer.json")
    digest = hashlib.sha256(b"known from elsewhere").hexdigest()
    machine.run(f"hailo-ctl models pin florence-2-base-hailo8 caption_embedding.npy {digest} 20")
    machine.run("timeout 60 hailo-ctl models fetch florence-2-base-hailo8", check=False)
    rows = {row["name"]: row for row in json.loads(machine.run("hailo-ctl models list --json").stdout)}
    trust = rows["florence-2-base-hailo8"]["trust"]
    assert (trust["tokenizer.json"], trust["caption_embedding.npy"]) == ("found", "pinned")


def test_a_copied_model_is_used_within_seconds(machine: Machine) -> None:
    """While the wanted one cannot be fetched any more, somebody copies one into the service's own folder."""
    machine.run("systemctl restart hailo-vision")
    machine.wait("it waits", lambda: "model_source" in get(machine, PORTS["hailo-vision"], "/health")[1])
    assert not ready(machine, PORTS["hailo-vision"])
    pid = machine.state("hailo-vision.service", "MainPID")
    shutil.copytree(TREE / "hailo_vision/demo_model", machine.path / "var/lib/hailo-vision/models")
    machine.run("chmod -R a+rX /var/lib/hailo-vision/models")
    machine.wait("it has taken the copied model", lambda: ready(machine, PORTS["hailo-vision"]), 30)
    assert machine.state("hailo-vision.service", "MainPID") == pid


def test_a_port_conflict_that_is_mended_comes_up_at_the_first_restart(machine: Machine) -> None:
    machine.run("systemd-run --unit=squatter python3 -m http.server --bind 127.0.0.1 12345")
    machine.wait_active("squatter.service")
    yaml = "/etc/hailo/hailo-florence.yaml"
    machine.run(f"sed -i '/^#*port:/d' {yaml}; echo 'port: 12345' >>{yaml}")
    machine.run("systemctl restart hailo-florence", check=False)
    machine.wait(
        "the socket has failed", lambda: machine.state("hailo-florence.socket", "ActiveState") == "failed"
    )
    machine.run("sed -i 's/^port: .*/port: 12346/' /etc/hailo/hailo-florence.yaml")
    machine.run("systemctl restart hailo-florence", check=False)
    machine.wait("it answers at the new port", lambda: ready(machine, 12346), 60)


def test_a_wrong_yaml_is_told_to_clients_at_once(machine: Machine) -> None:
    path = machine.file("/etc/hailo/hailo-vision.yaml")
    good = path.read_bytes()
    path.write_bytes(good + b"prot: 1\n")
    assert machine.run("systemctl restart hailo-vision", check=False).returncode != 0
    began = time.monotonic()
    status, body = get(machine, PORTS["hailo-vision"], "/v1/models")
    assert status == 503, body
    line = good.count(b"\n") + 1
    assert f"hailo-vision.yaml:{line}: prot is not valid" in body["error"]["message"]
    assert time.monotonic() - began < 15
    path.write_bytes(good)
    machine.run("systemctl restart hailo-vision")
    machine.wait("it is ready again", lambda: ready(machine, PORTS["hailo-vision"]))


def test_purge_leaves_what_people_copied(machine: Machine) -> None:
    machine.run("apt-get purge --yes hailo-vision hailo-florence hailo-common 2>&1")
    assert machine.file("/var/lib/hailo-vision/models/config.json").is_file()
    assert not machine.file("/var/lib/hailo-models/florence-2-base-ft-onnx").exists()
    assert machine.file("/etc/hailo/models.d/publishers.manifest").is_file()

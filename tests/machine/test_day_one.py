"""Day one: `apt install`, and with no further command a service answers with the manifest's real file set.

The publishers' servers run inside the machine; the files have the manifest's names and layout, and the demo
models' content, since the machine has no network. So the digests of the manifest are those of that content.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from hailo_common.models.manifest import Model, ModelFile, read_manifest
from tests.machine.asking import CAPTION, PORTS, caption, chat, get, ready
from tests.machine.machine import Machine, booted
from tests.machine.publisher import STORAGE
from tests.machine.roots import TREE, overlay

MODELS = {
    "florence-2-base-ft-onnx": TREE / "hailo_florence/demo_model",
    "qwen2-vl-2b-instruct-onnx": TREE / "hailo_vision/demo_model",
}
SERVICES = {"hailo-florence": "florence-2-base-ft-onnx", "hailo-vision": "qwen2-vl-2b-instruct-onnx"}
HOSTS = ("huggingface.co", STORAGE, "dev-public.hailo.ai")


def content(file: ModelFile, demo: Path) -> bytes:
    """What the publisher has under the file's name: the demo model's part of it."""
    name = Path(file.path).name.replace("_quantized", "").replace("_q4", "")
    for candidate in (demo / file.path, demo / "onnx" / name, demo / name):
        if candidate.is_file():
            return candidate.read_bytes()
    return b"{}"


def publish(folder: Path, model: Model, demo: Path) -> dict[str, object]:
    """Put a model's files where the publisher's server shows them; its entry of a manifest."""
    files = []
    for file in model.files:
        url = urlsplit(file.urls[0])
        target = folder / f"{url.hostname}{url.path}"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content(file, demo))
        digest = hashlib.sha256(target.read_bytes()).hexdigest() if file.sha256 else "unstated"
        size = {"size": target.stat().st_size} if file.sha256 else {}
        files.append({"path": file.path, "url": file.urls[0], "sha256": digest, **size})
    fields = {"service": model.service, "backend": "cpu", "licence": model.licence, "default": True}
    return {**fields, "memory_mb": 100, "seconds": 1, "files": files}


def certificate(path: Path) -> None:
    """One for all the publishers, which nobody but this machine trusts."""
    names = "subjectAltName=" + ",".join(f"DNS:{host}" for host in HOSTS)
    key = path.with_suffix(".key")
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=publishers",
    ]
    subprocess.run(
        [*command, "-addext", names, "-keyout", key, "-out", path], check=True, capture_output=True
    )
    path.write_bytes(path.read_bytes() + key.read_bytes())
    key.unlink()
    path.chmod(0o644)


@pytest.fixture(scope="module")
def machine(prepared: list[Path], apt_repository: Path) -> Iterator[Machine]:
    """A machine without our packages, and the publishers."""
    with overlay(*prepared) as view, booted(view, apt_repository) as running:
        folder = view / "srv/publishers"
        models = read_manifest(TREE / "models.manifest")
        entries = {name: publish(folder, models[name], demo) for name, demo in MODELS.items()}
        manifest = {"schema": 1, "hosts": ["*.hf.co"], "models": entries}
        drop = view / "etc/hailo/models.d/publishers.manifest"
        drop.parent.mkdir(parents=True)
        drop.write_text(json.dumps(manifest), encoding="utf-8")
        certificate(view / "etc/publishers.pem")
        with (view / "etc/hosts").open("a", encoding="utf-8") as hosts:
            hosts.write("".join(f"127.0.0.1 {host}\n" for host in HOSTS))
        trusts = view / "etc/systemd/system/hailo-fetch.service.d/publishers.conf"
        trusts.parent.mkdir(parents=True)
        trusts.write_text("[Service]\nEnvironment=SSL_CERT_FILE=/etc/publishers.pem\n", encoding="utf-8")
        for name in ("tests/hailo_common/models/depot.py", "tests/machine/publisher.py", "docs/sample.jpg"):
            (view / "root" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(TREE / name, view / "root" / name)
        shutil.copy(TREE / "docs/sample.jpg", view / "root/sample.jpg")
        script = "/root/tests/machine/publisher.py /srv/publishers /etc/publishers.pem"
        running.run(f"systemctl daemon-reload; systemd-run --setenv=PYTHONPATH=/root python3 {script}")
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
    assert caption(machine)["caption"] == CAPTION
    assert "red" in chat(machine).lower()


def test_the_real_file_set_is_in_place_and_trusted_as_it_should_be(machine: Machine) -> None:
    rows = {row["name"]: row for row in json.loads(machine.run("hailo-ctl models list --json").stdout)}
    for service, name in SERVICES.items():
        row = rows[name]
        assert (row["state"], row["service"]) == ("complete", service)
        assert row["wanted"].startswith(f"{service} uses it: the largest on the CPU")
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

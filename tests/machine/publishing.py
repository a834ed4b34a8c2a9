"""A machine that is not ours yet, and inside it the servers of the publishers that the manifest names.

The files have the manifest's names and layout, and the demo models' content, since there is no network.
So the digests of its manifest are those of that content.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from hailo_common.models.manifest import Model, ModelFile, read_manifest
from tests.certificates import certificate
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


@contextlib.contextmanager
def published(lower: list[Path], repository: Path) -> Iterator[Machine]:
    """Such a machine, booted."""
    with overlay(*lower) as view, booted(view, repository) as running:
        folder = view / "srv/publishers"
        models = read_manifest(TREE / "models.manifest")
        entries = {name: publish(folder, models[name], demo) for name, demo in MODELS.items()}
        manifest = {"schema": 1, "hosts": ["*.hf.co"], "models": entries}
        drop = view / "etc/hailo/models.d/publishers.manifest"
        drop.parent.mkdir(parents=True)
        drop.write_text(json.dumps(manifest), encoding="utf-8")
        certificate(view / "etc/publishers.pem", HOSTS)
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

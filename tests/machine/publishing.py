"""A machine that is not ours yet, and inside it the servers of the publishers that the manifest names.

There is no network, so the files are random weights in the layout of the real ones (`random_models`), and its
manifest's sizes and digests are theirs; all else of the manifest's entries is as it is.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from hailo_common.models.manifest import Model, read_manifest
from tests.certificates import certificate
from tests.machine.machine import Machine, booted
from tests.machine.publisher import STORAGE
from tests.machine.random_models import MODELS, content, random_models
from tests.machine.roots import TREE, overlay

HOSTS = ("huggingface.co", STORAGE, "dev-public.hailo.ai")


def publish(folder: Path, model: Model, made: Path) -> dict[str, object]:
    """Put a model's files where the publisher's server shows them; its entry of a manifest."""
    files = []
    for file in model.files:
        url = urlsplit(file.urls[0])
        target = folder / f"{url.hostname}{url.path}"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content(made, model.name, file))
        digest = hashlib.sha256(target.read_bytes()).hexdigest() if file.sha256 else "unstated"
        size = {"size": target.stat().st_size} if file.sha256 else {}
        files.append({"path": file.path, "url": file.urls[0], "sha256": digest, **size})
    given = {name: getattr(model, name) for name in ("service", "backend", "format", "about", "licence")}
    fields = {name: value for name, value in given.items() if value}
    seconds = {"memory_mb": model.memory // 1_000_000, "seconds": round(model.seconds)}
    return {**fields, **seconds, "default": model.default, "files": files}


@contextlib.contextmanager
def published(lower: list[Path], repository: Path) -> Iterator[Machine]:
    """Such a machine, booted."""
    made = random_models()
    with overlay(*lower) as view, booted(view, repository) as running:
        folder = view / "srv/publishers"
        models = read_manifest(TREE / "models.manifest")
        entries = {name: publish(folder, models[name], made) for name in MODELS}
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

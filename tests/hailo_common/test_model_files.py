"""Both services on models whose files go bad: nothing is served of them, and they heal without a hand."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hailo_common.models.fetch import Fetcher
from hailo_common.models.http import Web
from hailo_common.models.integrity import COMPLAINTS, take_complaints
from hailo_common.models.manifest import Catalogue, Model, ModelFile
from hailo_common.models.progress import Progress
from hailo_common.models.settings import FetchSettings
from hailo_common.models.store import Store, hash_file
from tests.hailo_common.models.depot import Depot, running
from tests.hailo_common.models.test_integrity import flip
from tests.hailo_florence.api.conftest import data_uri, red_circle
from tests.hailo_florence.api.running import Running, started
from tests.hailo_florence.cases import DEMO
from tests.hailo_vision.conversations import FOLDERS

URI = data_uri(red_circle((64, 64)))
CHAT = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 2}
SERVICES: dict[str, tuple[Path, str, str, dict[str, Any]]] = {
    "hailo_florence": (DEMO, "onnx/vision_encoder.onnx", "/v1/caption", {"image": URI}),
    "hailo_vision": (FOLDERS["random-a"], "onnx/embed_tokens.onnx", "/v1/chat/completions", CHAT),
}


@dataclass
class Node:
    """A store with one model, which a service uses, and the server that it came from."""

    module: str
    store: Store
    model: Model
    depot: Depot

    @property
    def folder(self) -> Path:
        return self.store.folder(self.model)

    @property
    def file(self) -> Path:
        """The one that goes bad."""
        return self.folder / SERVICES[self.module][1]

    @contextlib.contextmanager
    def service(self, *, ready: bool = True, **settings: Any) -> Iterator[Running]:
        config = self.store.root.parent / "service.yaml"
        values = {"model_dir": self.folder, "threads": 1, "backend": "cpu", **settings}
        config.write_text("".join(f"{key}: {value}\n" for key, value in values.items()))
        with started((self.module,), "--config", str(config), ready=ready) as running:
            yield running

    def ask(self, service: Running) -> Any:
        _, _, path, body = SERVICES[self.module]
        return service.client.post(path, json=body)

    def fetch(self) -> int:
        """What hailo-fetch does when its path unit starts it."""
        fetcher = Fetcher(
            store=self.store,
            catalogue=Catalogue({self.model.name: self.model}),
            settings=FetchSettings(stall_timeout_s=5, keep_free_mb=0, tries=1),
            web=Web("none", 5),
            progress=Progress(),
            accept=lambda *_: False,
        )
        suspects = take_complaints(self.store.root)
        with self.store.locked(5):
            return fetcher.fetch([self.model], suspects=suspects).status


@pytest.fixture(params=list(SERVICES))
def node(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Node]:
    source = SERVICES[request.param][0]
    store = Store(tmp_path / "hailo-models")
    with running() as depot:
        files = []
        for path in sorted(path for path in source.rglob("*") if path.is_file()):
            name = path.relative_to(source).as_posix()
            depot.files[f"toy/{name}"] = path.read_bytes()
            files.append(
                ModelFile(name, (f"{depot.url}/toy/{name}",), path.stat().st_size, None, hash_file(path))
            )
        model = Model(
            name="toy-1",
            service=request.param.replace("_", "-"),
            backend="cpu",
            architecture="",
            hailort="",
            default=True,
            about="",
            licence="MIT",
            homepage="",
            files=tuple(files),
            source="test",
        )
        made = Node(request.param, store, model, depot)
        assert made.fetch() == 0
        (store.root / COMPLAINTS).mkdir()
        yield made


def health(service: Running) -> dict[str, Any]:
    reply = service.client.get("/health")
    assert (reply.status_code == 503) == (reply.json()["status"] == "unhealthy")
    return dict(reply.json())


def metric(node: Node, service: Running) -> float:
    name = f"\n{node.module}_damaged_model_files_total "
    return float(service.client.get("/metrics").text.partition(name)[2].split()[0])


def check_refused(node: Node, service: Running) -> None:
    """Nothing is served, it is said everywhere why, and the fetcher is asked."""
    service.until(lambda: health(service).get("code") == "model_damaged", 30)
    told = health(service)
    assert told["status"] == "unhealthy"
    assert [text.partition(":")[0] for text in told["damaged_files"]] == [SERVICES[node.module][1]]
    assert "hailo-fetch was asked to bring it again" in told["error"]
    assert metric(node, service) == 1
    assert '"evt": "model_damaged"' in service.log
    assert [path.name for path in (node.store.root / COMPLAINTS).iterdir()] == ["toy-1"]
    assert node.ask(service).status_code == 503


def test_a_file_that_was_written_to_is_not_served_and_comes_back(node: Node) -> None:
    node.file.write_bytes(node.file.read_bytes()[:-1] + b"?")
    with node.service(ready=False) as service:
        check_refused(node, service)
        assert node.fetch() == 0
        service.until_ready(60)
        assert node.ask(service).status_code == 200
        assert "damaged_files" not in health(service)
        assert metric(node, service) == 1
    assert not list(node.folder.rglob("*.damaged"))


def test_a_load_that_fails_looks_at_files_that_seem_untouched(node: Node) -> None:
    """A worn card: size and time are as they were, and the first bytes are others."""
    for at in range(24):
        flip(node.file, at)
    with node.service(ready=False) as service:
        check_refused(node, service)
        assert node.fetch() == 0
        service.until_ready(60)


def test_a_file_that_changes_while_it_is_used_is_noticed_at_the_next_load(node: Node) -> None:
    good = node.file.read_bytes()
    with node.service() as service:
        assert node.ask(service).status_code == 200
        # Written beside it and renamed: what is in use stays whole.
        other = node.file.with_name("other")
        other.write_bytes(good[:-1] + b"?")
        other.rename(node.file)
        assert node.ask(service).status_code == 200
        os.kill(service.pid(), signal.SIGKILL)
        check_refused(node, service)
        assert node.fetch() == 0
        service.until_ready(60)
        assert node.ask(service).status_code == 200


def test_without_a_source_it_is_named(node: Node) -> None:
    shutil.rmtree(node.store.root / COMPLAINTS)
    node.file.write_bytes(b"nonsense")
    with node.service(ready=False) as service:
        service.until(lambda: health(service).get("code") == "model_damaged", 30)
        assert "hailo-ctl models fetch --verify toy-1" in health(service)["error"]
        lines = service.log.count('"evt": "model_damaged"')
        service.until(lambda: health(service)["engine"]["phase"] == "restarting", 5)
        assert lines == 1
        del node.depot.files[f"toy/{SERVICES[node.module][1]}"]
        assert node.fetch() == 78
        assert health(service)["status"] == "unhealthy"

"""A depot of files and a machine that fetches from it."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Container, Iterator, Sequence
from pathlib import Path

import pytest

from hailo_common.config.paths import Paths
from hailo_common.models.download import RetryPolicy
from hailo_common.models.fetch import Fetcher, Report
from hailo_common.models.http import Web
from hailo_common.models.manifest import Catalogue, Model, ModelFile
from hailo_common.models.progress import NAME as PROGRESS
from hailo_common.models.progress import Progress
from hailo_common.models.refused import NAME as REFUSED
from hailo_common.models.settings import FetchSettings
from hailo_common.models.sources import Extra
from hailo_common.models.store import NOTES, Store
from tests.hailo_common.models.depot import Depot, onnx, running

_PAYLOAD = random.Random(1).randbytes(699_983)
BIG = onnx(_PAYLOAD)
OTHER_BIG = onnx(_PAYLOAD[::-1])
SMALL = b'{"model_type": "florence2"}'


class Noted(Progress):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


class Site:
    """A machine with an empty store, and a depot."""

    def __init__(self, root: Path, depot: Depot) -> None:
        self.root, self.depot = root, depot
        self.places = Paths(root=root, environ={})
        self.store = Store(self.places.store())
        self.progress = Noted()
        self.accepted = False
        self.asked: list[str] = []

    def file(self, path: str, content: bytes, *, stated: bool = True, exact: bool = True) -> ModelFile:
        """A file that the depot has."""
        self.depot.files[f"origin/{path}"] = content
        return ModelFile(
            path=path,
            urls=(f"{self.depot.url}/origin/{path}",),
            size=len(content) if exact else None,
            about=None,
            sha256=hashlib.sha256(content).hexdigest() if stated else None,
        )

    def model(self, *files: ModelFile, name: str = "toy-1") -> Model:
        """A model of these files."""
        return Model(
            name=name,
            service="hailo-florence",
            backend="cpu",
            architecture="",
            hailort="",
            default=True,
            about="",
            licence="MIT",
            homepage="",
            files=files,
            source="test",
        )

    def toy(self, *, stated: bool = True) -> Model:
        """Two files, one of them in a folder."""
        return self.model(
            self.file("onnx/big.onnx", BIG, stated=stated),
            self.file("config.json", SMALL, stated=stated),
        )

    def fetch(
        self,
        *models: Model,
        settings: FetchSettings | None = None,
        extra: Extra | None = None,
        rehash: bool = False,
        again: bool = False,
        suspects: Container[str] = (),
    ) -> Report:
        """Fetch as `hailo-ctl models fetch` does."""
        settings = settings or FetchSettings(stall_timeout_s=1, keep_free_mb=0, tries=3)
        fetcher = Fetcher(
            store=self.store,
            catalogue=Catalogue({model.name: model for model in models}),
            settings=settings,
            web=Web("none", settings.stall_timeout_s),
            progress=self.progress,
            accept=self._accept,
            extra=extra,
            policy=RetryPolicy(settings.tries, 0.01),
        )
        with self.store.locked(5):
            return fetcher.fetch(models, rehash=rehash, again=again, suspects=suspects)

    def _accept(self, model: Model, files: Sequence[ModelFile], ask: bool) -> bool:
        self.asked += [file.path for file in files if ask]
        return self.accepted

    def names(self) -> list[str]:
        """All files of the store but its own notes."""
        own = {NOTES, ".lock", "pins.yaml", REFUSED, PROGRESS}
        return sorted(
            path.relative_to(self.store.root).as_posix()
            for path in self.store.root.rglob("*")
            if path.is_file() and path.name not in own
        )

    def holds(self, model: Model) -> bool:
        """The store has exactly the model's files with exactly their content."""
        wanted = {
            f"{model.name}/{file.path}": self.depot.files[f"origin/{file.path}"] for file in model.files
        }
        return self.names() == sorted(wanted) and all(
            (self.store.root / name).read_bytes() == content for name, content in wanted.items()
        )


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A machine and its depot."""
    with running() as depot:
        yield Site(tmp_path, depot)

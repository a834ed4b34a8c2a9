"""A service and the models that may still come: it waits for one, or for a better one than it has.

What is complete is given to the engine without a restart: fetched, copied by hand, or installed by a package.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from hailo_common.engine.pool import ServedModel
from hailo_common.errors import RETRY_AFTER_MAX_S
from hailo_common.models.progress import FetchState, read_state
from hailo_common.models.selection import ModelChoice, ServedFolder, choose
from hailo_common.models.store import trust_of

log = logging.getLogger(__name__)

LOOK_S = 1.5
"""Twice this passes between a model's last byte and its use: its files must have stopped to change."""
_IDLE_S = 30.0
_RETRY_S = 5
_DEPTH = 2

Snapshot = tuple[tuple[str, int, int], ...]


class Arrival:
    """Looks for what is awaited until it is there; see `run`."""

    def __init__(self, made: ServedModel, served: ServedFolder, store: Path) -> None:
        """The model's supervisor and queue, and where the model may come to be."""
        self._made, self._store, self._why = made, store, served.why
        self._places, choice = list(served.places), served.choice
        self._choice, self._trust = choice, self._trusts(choice)
        self._seen: tuple[Path, Snapshot] | None = None
        self._tried = snapshot(choice.folder)
        self._stand_in: ModelChoice | None = None
        self._failed = ""

    def _trusts(self, choice: ModelChoice) -> dict[str, int]:
        return trust_of(self._store, choice.model) if choice.model and choice.ready else {}

    async def run(self) -> None:
        """Hold the engine while there is no model, give it each better one, until nothing is awaited."""
        self._tell()
        while self._waits():
            await asyncio.sleep(LOOK_S)
            self._settle()
            better = await asyncio.to_thread(self._look)
            if better:
                await self._idle()
                self._take(better)
            self._tell()

    def _waits(self) -> bool:
        choice, engine = self._choice, self._made.engine
        settled = engine.state.info is not None and self._stand_in is None
        return choice.awaited is not None or not choice.ready or not settled

    def _settle(self) -> None:
        """What stood in is forgotten once the new model is loaded, and back where it cannot be."""
        state, stand_in = self._made.engine.state, self._stand_in
        if state.ready:
            self._stand_in = None
        elif state.phase == "failed" and stand_in:
            name = self._choice.folder.name
            self._failed = f"the model {name} cannot be loaded: {state.reason}"
            log.error("%s; %s is back", self._failed, stand_in.folder.name)
            self._places = [place for place in self._places if place.folder != self._choice.folder]
            self._take(replace(stand_in, awaited=None))
            self._stand_in = None

    def hold(self) -> None:
        """Load nothing as long as nothing is there."""
        if not self._choice.ready:
            self._tell()
            log.info("nothing to load yet: %s", self._made.engine.state.origin["awaits"])

    def _look(self) -> ModelChoice | None:
        """A better model whose files have not changed since the last look; or the same, completed."""
        found = choose(self._places)
        same = self._choice.ready and found.folder == self._choice.folder
        if not found.ready or (same and self._made.engine.state.kind != "ModelMissing"):
            self._seen = None
            return None
        if same and self._tried == snapshot(found.folder):
            return None
        seen = (found.folder, snapshot(found.folder))
        before, self._seen = self._seen, seen
        return found if before == seen else None

    async def _idle(self) -> None:
        """Let the requests that are here end on the model that they began with, for a while."""
        queue = self._made.queue
        end = asyncio.get_running_loop().time() + _IDLE_S
        while queue.taken and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.1)

    def _take(self, choice: ModelChoice) -> None:
        log.info("the model %s is there and is loaded now", choice.folder.name)
        self._stand_in = self._choice if self._choice.ready and choice.folder != self._choice.folder else None
        self._choice, self._trust = choice, self._trusts(choice)
        self._tried = snapshot(choice.folder)
        spec = self._made.engine.spec
        self._made.engine.use(replace(spec, options={**spec.options, "model_dir": str(choice.folder)}))

    def _tell(self) -> None:
        engine, awaited = self._made.engine, self._choice.awaited
        fetch = read_state(self._store, awaited.name) if awaited else None
        text = self._awaits(fetch)
        engine.state.origin = {
            "folder": str(self._choice.folder),
            "trust": self._trust,
            "awaits": text or None,
            "fetch": {"model": awaited.name, **fetch.to_json()} if awaited and fetch else None,
        }
        if not self._choice.ready:
            left = fetch.left_s if fetch else None
            retry_after = min(RETRY_AFTER_MAX_S, max(_RETRY_S, round(left))) if left else _RETRY_S
            engine.hold(text, retry_after, coming=fetch is not None and not fetch.problem)

    def _awaits(self, fetch: FetchState | None) -> str:
        """What is awaited and how far it is; empty for nothing."""
        model, choice = self._choice.awaited, self._choice
        if choice.ready and not model:
            return self._failed
        if model is None:
            why = f": {self._why}" if self._why else "; copy a model there, or set `model` or `model_dir`"
            return f"there is no model in {choice.folder}{why}"
        if fetch is None:
            return f"the model {model.name} is not here yet; to fetch it: hailo-ctl models fetch"
        if fetch.problem:
            return f"the model {model.name} could not be fetched: {fetch.problem}"
        return f"the model {model.name} is being fetched: {fetch.text()}"


def snapshot(folder: Path) -> Snapshot:
    """Names, sizes and times of a folder's files."""
    return tuple(sorted(_files(folder, _DEPTH)))


def _files(folder: Path, depth: int) -> Iterator[tuple[str, int, int]]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir() and depth:
                    yield from _files(Path(entry.path), depth - 1)
                elif entry.is_file():
                    status = entry.stat()
                    yield entry.path, status.st_size, status.st_mtime_ns
    except OSError:
        return

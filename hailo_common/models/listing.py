"""What is known on this machine of each model that the manifests name."""

from __future__ import annotations

from typing import Any

from hailo_common.config.common_keys import FETCH
from hailo_common.config.load import load
from hailo_common.config.paths import Paths
from hailo_common.errors import ConfigError
from hailo_common.models.machine import Machine, find_machine
from hailo_common.models.manifest import Model, load_catalogue
from hailo_common.models.progress import read_state
from hailo_common.models.selection import selected_models
from hailo_common.models.settings import FetchSettings
from hailo_common.models.store import Pins, Store


def model_rows(paths: Paths, machine: Machine | None = None) -> list[dict[str, Any]]:
    """What is known of each model of the manifests, one row each; `machine` wants them, None is this one."""
    catalogue, store = load_catalogue(paths), Store(paths.store())
    pins = Pins(store.root)
    try:
        settings = load(FetchSettings, FETCH, paths)
        wanted = {
            each.model.name: each.reason
            for each in selected_models(paths, catalogue, settings, machine or find_machine(paths))
        }
    except ConfigError:
        # `config check` reports a broken configuration; the models can be listed all the same.
        wanted = {}
    return [_row(model, store, pins, wanted.get(model.name, "")) for model in catalogue.models.values()]


def _row(model: Model, store: Store, pins: Pins, wanted: str) -> dict[str, Any]:
    states = {file.path: store.state(model, file, pins.digest(model, file)) for file in model.files}
    missing = [path for path, state in states.items() if state in ("missing", "wrong size")]
    fetch = read_state(store.root, model.name) if missing else None
    return {
        "name": model.name,
        "service": model.service,
        "backend": model.backend,
        "format": model.format,
        "hailort": model.hailort,
        "state": "complete" if not missing else "absent" if len(missing) == len(states) else "incomplete",
        "missing": missing,
        "unpinned": [file.path for file in model.files if pins.digest(model, file) is None],
        "trust": {file.path: pins.trust(model, file) for file in model.files},
        "fetch": fetch and ({"problem": fetch.problem} if fetch.problem else {"progress": fetch.text()}),
        "progress": fetch and fetch.to_json(),
        "bytes": model.expected,
        "memory_bytes": model.memory,
        "seconds": model.seconds,
        "wanted": wanted,
        "licence": model.licence,
        "about": model.about,
        "homepage": model.homepage,
        "source": model.source,
        "folder": str(store.folder(model)),
    }

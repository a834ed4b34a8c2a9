"""What is known of each model on this machine: for `models list`, `status` and `doctor`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hailo_common.config.load import load
from hailo_common.config.places import Places
from hailo_common.config.services import FETCH
from hailo_common.ctl.output import say, table
from hailo_common.errors import ConfigError
from hailo_common.models.catalogue import load_catalogue
from hailo_common.models.manifest import Model
from hailo_common.models.pins import Pins
from hailo_common.models.settings import Settings
from hailo_common.models.store import Store
from hailo_common.models.wanted import find_chip, wanted_models
from hailo_common.sizes import size_text


def model_rows(places: Places) -> list[dict[str, Any]]:
    """One row per model of the manifests."""
    catalogue, store = load_catalogue(places), Store(places.store())
    pins = Pins(store.root)
    try:
        wanted = {
            each.model.name: each.reason
            for each in wanted_models(places, catalogue, load(Settings, FETCH, places), find_chip())
        }
    except ConfigError:
        # A broken configuration is told by `config check`; the models are worth a look all the same.
        wanted = {}
    return [_row(model, store, pins, wanted.get(model.name, "")) for model in catalogue.models.values()]


def _row(model: Model, store: Store, pins: Pins, wanted: str) -> dict[str, Any]:
    states = {file.path: store.state(model, file, pins.digest(file)) for file in model.files}
    missing = [path for path, state in states.items() if state in ("missing", "wrong size")]
    return {
        "name": model.name,
        "service": model.service,
        "backend": model.backend,
        "hailort": model.hailort,
        "state": "complete" if not missing else "absent" if len(missing) == len(states) else "incomplete",
        "missing": missing,
        "unpinned": [file.path for file in model.files if pins.digest(file) is None],
        "bytes": model.expected,
        "wanted": wanted,
        "licence": model.licence,
        "about": model.about,
        "homepage": model.homepage,
        "source": model.source,
        "folder": str(store.folder(model)),
    }


def print_rows(rows: Sequence[dict[str, Any]]) -> None:
    """The rows as a table, with what the columns cannot say below."""
    if not rows:
        say("no manifest of models is installed")
        return
    head = ("MODEL", "SERVICE", "BACKEND", "SIZE", "LICENCE", "STATE")
    lines = [
        (
            row["name"],
            row["service"],
            row["backend"] + (f" {row['hailort']}" if row["hailort"] else ""),
            size_text(row["bytes"]),
            row["licence"],
            row["state"] + (", wanted" if row["wanted"] else ""),
        )
        for row in rows
    ]
    for line in table([head, *lines]):
        say(line)
    for row in rows:
        name = row["name"]
        if row["wanted"] and row["missing"]:
            say(f"\n{name} is missing; {row['wanted']}. Fetch it: hailo-ctl models fetch {name}")
            if row["unpinned"]:
                say("  Its publisher states no checksum for all files: you will be asked, or add --accept.")

"""The folder of the model that a service loads, and when another one should take its place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hailo_common.config.places import Places
from hailo_common.config.settings import CommonSettings
from hailo_common.models.catalogue import load_catalogue
from hailo_common.models.manifest import Model
from hailo_common.models.store import Store
from hailo_common.models.wanted import AUTO, DEMO, Chip, find_chip, model_of


@dataclass(frozen=True)
class Choice:
    """A folder, and the model for which the one in it only stands in."""

    folder: Path
    awaited: Model | None = None


def choose_folder(
    service: str,
    settings: CommonSettings,
    places: Places,
    *,
    demo: Path,
    demo_name: str,
    chip: Chip | None = None,
) -> Choice:
    """Where the model lies, or is going to. ConfigError for a name that no manifest has.

    With `auto`, in this order: the service's own folder of old if it holds a model, the manifest's model for
    this machine if it is complete, the demo model if its package is installed, else the manifest's model,
    to be waited for.
    """
    if settings.model_dir:
        return Choice(Path(settings.model_dir))
    if settings.model == DEMO:
        return Choice(demo)
    own = places.models(service)
    if settings.model == AUTO and (own / "config.json").is_file():
        return Choice(own)
    store = Store(places.store())
    model = model_of(service, settings, load_catalogue(places), find_chip() if chip is None else chip)
    if model is None:
        return Choice(own)
    installed = places.demos() / demo_name
    if settings.model == AUTO and not store.complete(model) and (installed / "config.json").is_file():
        return Choice(installed, awaited=model)
    return Choice(store.folder(model))


def arrived(choice: Choice, places: Places) -> bool:
    """True once the model that is waited for is complete."""
    return choice.awaited is not None and Store(places.store()).complete(choice.awaited)

"""All manifests of this machine as one catalogue; of two models of one name the later file's counts."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

from hailo_common.config.keys import quoted
from hailo_common.config.places import Places
from hailo_common.errors import ConfigError
from hailo_common.models.manifest import Model, read_manifest


class Catalogue:
    """The known models by name."""

    def __init__(self, models: dict[str, Model]) -> None:
        self.models = models

    def find(self, name: str) -> Model:
        """The model of that name; ConfigError with a hint where there is none."""
        if name not in self.models:
            near = difflib.get_close_matches(name, self.models, n=1)
            hint = f"did you mean {near[0]}?" if near else "`hailo-ctl models list` shows all"
            raise ConfigError(f"no model is called {quoted(name)}; {hint}")
        return self.models[name]

    def of_service(self, service: str, backend: str) -> list[Model]:
        """The models of a service for a backend, in the manifest's order."""
        return [each for each in self.models.values() if (each.service, each.backend) == (service, backend)]


def read_catalogue(paths: Iterable[Path]) -> Catalogue:
    """The models of these manifests; the ConfigError has one line per broken file."""
    models: dict[str, Model] = {}
    problems = []
    for path in paths:
        try:
            models |= read_manifest(path)
        except ConfigError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError("\n".join(problems))
    return Catalogue(models)


def load_catalogue(places: Places) -> Catalogue:
    """The models that this machine knows."""
    return read_catalogue(places.manifests())

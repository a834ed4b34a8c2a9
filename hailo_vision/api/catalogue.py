"""The models of this service, and the names under which clients may ask for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from hailo_common.engine.pool import EnginePool, ServedModel
from hailo_common.errors import NotFound
from hailo_vision.api.fields import refused


def unix_now() -> int:
    """Seconds since 1970, for stamps in answers; never for measuring."""
    return int(datetime.now(UTC).timestamp())


class Catalogue:
    """Who goes by which name. `aliases` are stable names of the default model, whichever it is."""

    def __init__(self, pool: EnginePool, aliases: Sequence[str]) -> None:
        self._pool = pool
        self._aliases = tuple(aliases)
        self.created = unix_now()

    def names(self) -> Mapping[ServedModel, list[str]]:
        """The names of each model, its stable one first; no two models share one, whatever their case.

        Raises NotReady before the model of a service that names none was ever loaded: it brings its own name.
        """
        pool = self._pool
        if not pool.several:
            pool.default.engine.state.loaded_info()
        taken = {each.name.casefold(): each for each in pool.models if each.name}
        table: dict[ServedModel, list[str]] = {}
        for model in pool.models:
            table[model] = []
            for name in (*self._stable(model), model.name, self._own(model)):
                if name and taken.setdefault(name.casefold(), model) is model and name not in table[model]:
                    table[model].append(name)
        return table

    def _stable(self, model: ServedModel) -> tuple[str, ...]:
        return self._aliases if model is self._pool.default else ()

    def _own(self, model: ServedModel) -> str:
        info = model.engine.state.info
        return info.model if info else ""

    def find(self, name: Any) -> ServedModel:
        """The model of that name.

        Raises InvalidParameter for what is no name, NotFound (`model_not_found`) for another model's.
        """
        table = self.names()
        if not isinstance(name, str) or not name:
            raise refused("model", f"model is required; this service has {_listed(table)}.")
        wanted = name.casefold()
        for model, names in table.items():
            if any(known.casefold() == wanted for known in names):
                return model
        raise NotFound(
            f"There is no such model here; this service has {_listed(table)}.",
            code="model_not_found",
            param="model",
        )


def _listed(table: Mapping[ServedModel, Sequence[str]]) -> str:
    return ", ".join(name for names in table.values() for name in names)

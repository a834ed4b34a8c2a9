"""The models of this service, and the names under which clients may ask for them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from hailo_common.engine.contract import EngineInfo
from hailo_common.engine.pool import EnginePool, ServedModel
from hailo_common.errors import NotFound
from hailo_common.web.addresses import shown_path
from hailo_vision.api.fields import refused

_TAG = re.compile(r":[\w.-]{1,64}$")
_BUILD = re.compile(
    r"(?:[-_.](?:onnx|cpu|npu|gguf|hef|hailo\w*|int[48]|fp16|q[0-9]\w*|[0-9]+(?:\.[0-9]+)+))+$"
)


def abilities(info: EngineInfo | None) -> list[str]:
    """What a model can do, in Ollama's words. The demo model has learned nothing of tools."""
    vision = ["vision"] if info is None or info.capabilities.get("vision", False) else []
    tools = ["tools"] if info is not None and not info.demo else []
    return ["completion", *vision, *tools]


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
        """The model of that name, the default where none is named; raises as `spelled`."""
        spelled = self.spelled(name)
        return next(model for model, names in self.names().items() if spelled in names)

    def spelled(self, name: Any) -> str:
        """The name that a request asks for, as it is written here; the default model's first for none.

        A tag (`:latest`), an owner (`Qwen/`) or the marks of a build (`-onnx`) do not make it another
        model's. Raises InvalidParameter for what is no name, NotFound (`model_not_found`) for another
        model's.
        """
        table = self.names()
        if name is None or name == "":
            return next(iter(table.values()))[0]
        if not isinstance(name, str):
            raise refused("model", f"model must be a string; this service has {_listed(table)}.")
        known = {each.casefold(): each for names in table.values() for each in names}
        for form in _forms(name.casefold()):
            if form in known:
                return known[form]
        raise NotFound(
            f'There is no such model here as "{shown_path(name)}"; this service has {_listed(table)}.',
            code="model_not_found",
            param="model",
        )


def _forms(name: str) -> tuple[str, ...]:
    bare = _TAG.sub("", name.rpartition("/")[2])
    return name, bare, _BUILD.sub("", bare)


def _listed(table: Mapping[ServedModel, Sequence[str]]) -> str:
    return ", ".join(name for names in table.values() for name in names)

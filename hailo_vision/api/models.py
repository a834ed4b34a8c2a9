"""The one model of this service and the names it goes by."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from hailo_common.engine.contract import EngineInfo
from hailo_common.errors import NotFound
from hailo_vision.api.fields import refused


def unix_now() -> int:
    """Seconds since 1970, for stamps in answers; never for measuring."""
    return int(datetime.now(UTC).timestamp())


class Catalogue:
    """The one model and the names it goes by."""

    def __init__(self, aliases: Sequence[str]) -> None:
        self.aliases = tuple(aliases)
        self.created = unix_now()

    def check(self, name: Any, info: EngineInfo) -> str:
        """The model's own name if `name` is one of its names.

        Raises InvalidParameter for what is no name, NotFound (`model_not_found`) for another model's.
        """
        own = info.model
        if not isinstance(name, str) or not name:
            raise refused("model", f"model is required; this service has {own}.")
        if name.casefold() not in {known.casefold() for known in (own, *self.aliases)}:
            raise NotFound(
                f"There is no such model here; this service has {own}.", code="model_not_found", param="model"
            )
        return own

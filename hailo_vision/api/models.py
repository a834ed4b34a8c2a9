"""What `/v1/models` says of the model: its names, how much it can read, what it can look at."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from hailo_common import __version__
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

    def check(self, name: Any, info: Mapping[str, Any]) -> str:
        """The model's own name if `name` is one of its names.

        Raises InvalidParameter for what is no name, NotFound (`model_not_found`) for another model's.
        """
        own = str(info["model"])
        if not isinstance(name, str) or not name:
            raise refused("model", f"model is required; this service has {own}.")
        if name.casefold() not in {known.casefold() for known in (own, *self.aliases)}:
            raise NotFound(
                f"There is no such model here; this service has {own}.", code="model_not_found", param="model"
            )
        return own

    def entry(self, info: Mapping[str, Any]) -> dict[str, Any]:
        """The model as OpenAI describes one, with what other servers' clients read besides."""
        longest = info.get("limits", {}).get("max_model_len")
        return {
            "id": info["model"],
            "object": "model",
            "created": self.created,
            "owned_by": "hailo-vision",
            "aliases": [alias for alias in self.aliases if alias != info["model"]],
            "description": info.get("description", ""),
            "demo": info.get("demo", False),
            "max_model_len": longest,
            "meta": {"n_ctx": longest},
            "architecture": {"input_modalities": ["text", "image"], "output_modalities": ["text"]},
            "capabilities": ["completion", "vision"],
            "limits": dict(info.get("limits", {})),
        }


def fingerprint(info: Mapping[str, Any]) -> str:
    """OpenAI's `system_fingerprint`: another one wherever the same request may be answered differently."""
    stages = [[stage.get("name"), stage.get("backend")] for stage in info.get("stages", ())]
    seen = repr((__version__, info["model"], stages)).encode()
    return "fp_" + hashlib.sha256(seen).hexdigest()[:12]

"""What a model folder says of itself: its name, what it is, and whether it is only a demo."""

from __future__ import annotations

from typing import Any

from hailo_common.fingerprint import fingerprint
from hailo_common.folder import ModelFolder

_CARD = "model_card.json"


def describe(folder: ModelFolder) -> dict[str, Any]:
    """`model`, `description`, `demo` (from `model_card.json`, else config and folder name), `fingerprint`."""
    card = folder.optional_json(_CARD)
    name = card.get("name") or folder.optional_json("config.json").get("_name_or_path")
    return {
        "model": str(name or folder.path.resolve().name),
        "description": str(card.get("description", "")),
        "demo": bool(card.get("demo", False)),
        "fingerprint": fingerprint(folder.path),
    }

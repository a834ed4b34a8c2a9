"""Short ways to write requests and pictures for engines."""

from __future__ import annotations

from typing import Any

import numpy as np

from hailo_common.engine.contract import Engine, RgbImage

Parts = str | int


def say(role: str, *parts: Parts) -> dict[str, Any]:
    """A message of texts and numbers of pictures."""
    return {
        "role": role,
        "content": [
            {"type": "text", "text": part} if isinstance(part, str) else {"type": "image", "image": part}
            for part in parts
        ],
    }


def question(*parts: Parts, **fields: Any) -> dict[str, Any]:
    """A request of one message."""
    return {"messages": [say("user", *parts)], "max_tokens": 12, "temperature": 0, **fields}


def noise(number: int, rows: int = 2, columns: int = 3, factor: int = 12) -> RgbImage:
    """A picture of (rows, columns) times `factor` pixels, the same on every machine."""
    random = np.random.default_rng(number)
    return random.integers(0, 256, (rows * factor, columns * factor, 3), np.uint8)


def ask(engine: Engine, request: dict[str, Any], *images: RgbImage) -> dict[str, Any]:
    """The engine's result."""
    *_, last = engine.run(request, images)
    result: dict[str, Any] = last["result"]
    return result

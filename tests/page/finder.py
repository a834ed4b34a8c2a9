"""hailo-florence with an engine that finds what is red and what is blue: `python -m tests.page.finder`.

Its boxes are measured in the pixels that reached it: what the page draws can be compared with the scene.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hailo_common.engine.contract import EngineInfo, Event, RgbImage
from hailo_common.images.resize import ResizeSpec
from hailo_common.systemd.sockets import listening_sockets
from hailo_florence.config import FlorenceSettings
from hailo_florence.protocol import TASKS, FlorenceRequest, FlorenceResult
from hailo_florence.service import build
from tests.fakes import FakeEngine

SIDE = 384
COLOURS = {"red circle": (0, (1, 2)), "blue square": (2, (0, 1))}


def make_engine(options: Mapping[str, Any]) -> Finder:
    """The factory that the supervisor names as `tests.page.finder:make_engine`."""
    return Finder(options)


class Finder(FakeEngine):
    """Answers every task with what it finds, or with `words` of its options."""

    request_type = FlorenceRequest

    def load(self) -> EngineInfo:
        """As a model that can do everything."""
        return replace(
            super().load(), resize=ResizeSpec(SIDE, SIDE), capabilities=dict.fromkeys(TASKS, True), limits={}
        )

    def run(self, request: FlorenceRequest, images: Sequence[RgbImage]) -> Iterator[Event]:
        """Boxes, quads or polygons, whatever the task gives."""
        gives = TASKS[request.task].gives
        for word in ("red ", "circle, ", "blue ", "square") if gives == "text" else ("",):
            time.sleep(0.1)
            yield word
        found = [] if gives == "text" else list(_places(images[0], request.size or (1, 1), gives))
        yield FlorenceResult(
            text=", ".join(COLOURS),
            finish_reason="stop",
            completion_tokens=9,
            vision_seconds=0.0,
            encoder_seconds=0.0,
            decode_seconds=0.0,
            places=found,
        )


def _places(image: RgbImage, size: tuple[int, int], gives: str) -> Iterator[dict[str, Any]]:
    pixels = image.astype(int)
    for label, (own, others) in COLOURS.items():
        mask = np.all([pixels[:, :, own] > pixels[:, :, other] + 80 for other in others], axis=0)
        rows, columns = np.nonzero(mask)
        if not rows.size:
            continue
        across, down = size[0] / SIDE, size[1] / SIDE
        x0, x1 = columns.min() * across, (columns.max() + 1) * across
        y0, y1 = rows.min() * down, (rows.max() + 1) * down
        corners = [float(each) for each in (x0, y0, x1, y0, x1, y1, x0, y1)]
        box = [float(each) for each in (x0, y0, x1, y1)]
        shapes: dict[str, dict[str, Any]] = {"quads": {"quad": corners}, "polygons": {"polygons": [corners]}}
        yield {"label": label, **shapes.get(gives, {"box": box})}


def main(argv: Sequence[str] | None = None) -> int:
    """Serve on `--port`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    args = parser.parse_args(argv)
    settings = FlorenceSettings(port=args.port, docs=True)
    service = build(settings, "unused", factory="tests.page.finder:make_engine")
    return int(asyncio.run(service.run(listening_sockets("127.0.0.1", args.port))))


if __name__ == "__main__":
    sys.exit(main())

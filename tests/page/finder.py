"""hailo-florence with an engine that finds what is red and what is blue: `python -m tests.page.finder`.

Asked about a box it finds what lies in it; a question that is `{"says": a text, "times": a number}` becomes
what it says and what it calls things. Its boxes are measured in the pixels that reached it, so that
what the page draws can be compared with the scene.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from hailo_common.engine.contract import EngineInfo, Event, RgbImage
from hailo_common.images.resize import ResizeSpec
from hailo_common.systemd.sockets import listening_sockets
from hailo_florence.config import FlorenceSettings
from hailo_florence.protocol import LOCATIONS, TASKS, FlorenceRequest, FlorenceResult
from hailo_florence.service import build
from tests.fakes import FakeEngine

SIDE = 384
Box: TypeAlias = tuple[float, float, float, float]
COLOURS = {"red circle": (0, (1, 2)), "blue square": (2, (0, 1))}


def make_engine(options: Mapping[str, Any]) -> Finder:
    """The factory that the supervisor names as `tests.page.finder:make_engine`."""
    return Finder(options)


class Finder(FakeEngine):
    """Answers every task with what it finds, or with what it is ordered to say."""

    request_type = FlorenceRequest

    def load(self) -> EngineInfo:
        """As a model that can do everything."""
        return replace(
            super().load(), resize=ResizeSpec(SIDE, SIDE), capabilities=dict.fromkeys(TASKS, True), limits={}
        )

    def run(self, request: FlorenceRequest, images: Sequence[RgbImage]) -> Iterator[Event]:
        """Boxes, quads or polygons, whatever the task gives."""
        gives = TASKS[request.task].gives
        ordered = _ordered(request.question)
        found = _within(_found(images[0]), request.region)
        text = ordered or ", ".join(found if request.region else COLOURS) or "nothing"
        for word in text.split(" ") if gives == "text" else ():
            time.sleep(0.1)
            yield f"{word} "
        yield FlorenceResult(
            text=text,
            finish_reason="stop",
            completion_tokens=9,
            vision_seconds=0.0,
            encoder_seconds=0.0,
            decode_seconds=0.0,
            places=[] if gives == "text" else list(_places(found, request.size or (1, 1), gives, ordered)),
        )


def _ordered(question: str | None) -> str:
    if not question or not question.startswith("{"):
        return ""
    order = json.loads(question)
    return str(order["says"]) * int(order.get("times", 1))


def _found(image: RgbImage) -> dict[str, Box]:
    """The box around what has each colour, in shares of the image's sides."""
    pixels, found = image.astype(int), {}
    for label, (own, others) in COLOURS.items():
        mask = np.all([pixels[:, :, own] > pixels[:, :, other] + 80 for other in others], axis=0)
        rows, columns = np.nonzero(mask)
        if rows.size:
            ends = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            x0, y0, x1, y1 = (float(each) / SIDE for each in ends)
            found[label] = (x0, y0, x1, y1)
    return found


def _within(found: dict[str, Box], region: tuple[int, ...] | None) -> dict[str, Box]:
    """What has its middle in a box of the model's steps, if there is one."""
    if region is None:
        return found
    left, top, right, bottom = (each / LOCATIONS for each in region)
    return {
        label: (x0, y0, x1, y1)
        for label, (x0, y0, x1, y1) in found.items()
        if left <= (x0 + x1) / 2 <= right and top <= (y0 + y1) / 2 <= bottom
    }


def _places(
    found: dict[str, Box], size: tuple[int, int], gives: str, ordered: str
) -> Iterator[dict[str, Any]]:
    for label, place in found.items():
        x0, y0, x1, y1 = box = [each * side for each, side in zip(place, size * 2, strict=True)]
        corners = [x0, y0, x1, y0, x1, y1, x0, y1]
        shapes: dict[str, dict[str, Any]] = {"quads": {"quad": corners}, "polygons": {"polygons": [corners]}}
        yield {"label": ordered or label, **shapes.get(gives, {"box": box})}


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

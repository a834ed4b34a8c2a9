"""One service on the demo model and one on the fake engine for the whole session."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator

import pytest
from PIL import Image, ImageDraw

from tests.hailo_florence.api.running import FAKE, Running, started


def red_circle(size: tuple[int, int] = (320, 240), kind: str = "JPEG") -> bytes:
    """A red circle on grey, drawn by code that no model was trained on."""
    image = Image.new("RGB", size, (200, 200, 200))
    middle, radius = (size[0] // 2, size[1] // 2), min(size) // 4
    box = (middle[0] - radius, middle[1] - radius, middle[0] + radius, middle[1] + radius)
    ImageDraw.Draw(image).ellipse(box, fill=(220, 20, 30))
    file = io.BytesIO()
    image.save(file, kind, quality=90)
    return file.getvalue()


def data_uri(data: bytes, kind: str = "jpeg") -> str:
    """A `data:` URL of picture bytes."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


@pytest.fixture(scope="session")
def florence() -> Iterator[Running]:
    """hailo-florence on the demo model."""
    with started() as running:
        yield running


@pytest.fixture(scope="session")
def fake() -> Iterator[Running]:
    """The service over a fake engine whose every request takes 0.3 s, with a queue of 3."""
    arguments = ("--options", '{"step_s": 0.1}', "--settings", '{"queue_size": 3}')
    with started(FAKE, *arguments) as running:
        yield running

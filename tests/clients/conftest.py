"""hailo-vision on its demo model, and the pictures that clients ask about."""

from __future__ import annotations

import base64
import gc
import io
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image, ImageDraw

from tests.hailo_florence.api.running import Running, started

VISION = ("hailo_vision", "--demo", "shapes")
EVERYDAY = ("hailo_vision", "--demo")
NOT_IN_DEBIAN = "this client library comes with `make venv`, and Debian 13 has none that would do"
Rgb = tuple[int, int, int]
RED, BLUE, GREEN = (220, 20, 30), (30, 60, 220), (20, 150, 40)


def drawn(*shapes: tuple[str, Rgb, int]) -> bytes:
    """A PNG of 480 x 320 pixels with shapes ("circle" or "square") at places counted from the left."""
    image = Image.new("RGB", (480, 320), (205, 205, 205))
    draw = ImageDraw.Draw(image)
    for shape, fill, x in shapes:
        box = (x - 55, 105, x + 55, 215)
        (draw.ellipse if shape == "circle" else draw.rectangle)(box, fill=fill)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def url(data: bytes) -> str:
    """A PNG as a data URL."""
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


CIRCLE = url(drawn(("circle", RED, 240)))
PAIR = url(drawn(("circle", RED, 120), ("square", BLUE, 360)))


def ask(text: str, *images: str) -> Any:
    """One user message as OpenAI's clients send it."""
    parts = [{"type": "image_url", "image_url": {"url": image}} for image in images]
    return [{"role": "user", "content": [*parts, {"type": "text", "text": text}]}]


@pytest.fixture(scope="module", autouse=True)
def tidy() -> Iterator[None]:
    """Free what the libraries leave open while nobody minds: sockets and event loops that they forgot."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()


@pytest.fixture(scope="session")
def vision() -> Iterator[Running]:
    """The service over the demo model."""
    with started(VISION) as running:
        yield running


@pytest.fixture(scope="session")
def everyday() -> Iterator[Running]:
    """The service as `--demo` alone starts it, whose context holds the long prompts of agents."""
    with started(EVERYDAY, ready=False) as running:
        running.until_ready(180)
        yield running


@pytest.fixture(scope="session")
def base_url(vision: Running) -> str:
    """What a user types into a client."""
    return f"http://127.0.0.1:{vision.port}/v1"

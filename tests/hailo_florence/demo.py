"""The demo model's held-out pictures: JPEG files in one `.npz`, so that all see the same pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from hailo_common.engine.contract import RgbImage
from hailo_common.inference.model_dir import ModelDir
from hailo_florence.model.preprocess import read_image_settings
from tests.hailo_florence.cases import DEMO, GOLDEN
from tests.limits import decode

IMAGES = 200
SEED = 7_000_000
"""Far from every seed that training uses."""
FILE = GOLDEN / "florence-demo-pictures.npz"


def write_images(files: Sequence[bytes]) -> None:
    """Store encoded pictures one after another, with where each ends."""
    ends = np.cumsum([len(data) for data in files])
    encoded.cache_clear()
    np.savez(FILE, data=np.frombuffer(b"".join(files), np.uint8), ends=ends)


@cache
def encoded() -> list[bytes]:
    """The encoded pictures."""
    with np.load(FILE, allow_pickle=False) as stored:
        return [data.tobytes() for data in np.split(stored["data"], stored["ends"][:-1])]


def images() -> Iterator[RgbImage]:
    """The decoded pictures, (height, width, 3) each, as the service decodes them."""
    target = read_image_settings(ModelDir(DEMO)).target
    for data in encoded():
        decoded = decode(data, replace(target, exact=True))
        yield np.frombuffer(decoded.rgb, np.uint8).reshape(decoded.height, decoded.width, 3)

"""The demo model's held-out pictures: JPEG files in one `.npz`, so that all see the same pixels."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from hailo_common.engine.contract import Picture
from tests.florence.cases import GOLDEN

PICTURES = 200
SEED = 7_000_000
"""Far from every seed that training uses."""
FILE = GOLDEN / "florence-demo-pictures.npz"


def write_pictures(files: Sequence[bytes]) -> None:
    """Store encoded pictures one after another, with where each ends."""
    ends = np.cumsum([len(data) for data in files])
    np.savez(FILE, data=np.frombuffer(b"".join(files), np.uint8), ends=ends)


def pictures() -> Iterator[Picture]:
    """The decoded pictures, (side, side, 3) each."""
    with np.load(FILE, allow_pickle=False) as stored:
        for data in np.split(stored["data"], stored["ends"][:-1]):
            yield np.asarray(Image.open(io.BytesIO(data.tobytes())).convert("RGB"))

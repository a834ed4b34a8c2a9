"""How long a photograph takes from its JPEG file to the array a model reads, ours against plain Pillow.

What cannot be saved is reading every entropy-coded bit, so the gain shrinks as the file grows.
"""

from __future__ import annotations

import asyncio
import io
import os
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from PIL import Image

from hailo_common.images.decoder import ImageDecoder
from hailo_common.images.resize import ResizeSpec
from tests.hailo_common.images.make import encode, photo
from tests.limits import decode, image_limits

Row = tuple[str, float, float, float]
Clock = Callable[[], float]
SIDE = 384
IMAGES = {"8 MP": ((3264, 2448), 0.03), "12 MP": ((4000, 3000), 0.03), "12 MP busy": ((4000, 3000), 0.2)}


def bench(rounds: int = 9) -> list[Row]:
    """Rows of name, our milliseconds, Pillow's milliseconds, ratio; each the best of `rounds`.

    The functions are timed by this process's CPU time, so that other work on the machine hardly counts;
    the way through the decoder process is timed by the clock on the wall.
    """
    rows = []
    for name, (size, detail) in IMAGES.items():
        data = encode(photo(*size, detail=detail), "JPEG", quality=88)
        label = f"JPEG {name}, {len(data) // 1000} kB, to {SIDE}x{SIDE}"
        ours, theirs = best_of(rounds, time.process_time, partial(quick, data), partial(plain_pillow, data))
        rows.append((label, ours, theirs, theirs / ours))
        ours, theirs = through_the_child(data, rounds)
        rows.append((f"{label}, decoder process", ours, theirs, theirs / ours))
    return rows


def quick(data: bytes) -> np.ndarray:
    """Our decoder as a function."""
    rgb = decode(data, ResizeSpec(SIDE, SIDE)).rgb
    return np.frombuffer(rgb, np.uint8).reshape(SIDE, SIDE, 3)


def plain_pillow(data: bytes) -> np.ndarray:
    """What a Hugging Face processor does before it normalises."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def best_of(rounds: int, clock: Clock, *functions: Callable[[], object]) -> list[float]:
    """The best time of each in milliseconds, taken in turns so that a busy machine slows all alike."""
    best = [float("inf")] * len(functions)
    for _ in range(rounds):
        for index, function in enumerate(functions):
            started = clock()
            function()
            best[index] = min(best[index], (clock() - started) * 1000)
    return best


def through_the_child(data: bytes, rounds: int) -> list[float]:
    """Ours through the decoder process, file descriptors and all, and theirs in this one."""
    decoder = ImageDecoder(image_limits())
    with asyncio.Runner() as runner:
        runner.run(decoder.start())

        async def one() -> np.ndarray:
            with await decoder.decode(data, ResizeSpec(SIDE, SIDE)) as image:
                return np.frombuffer(os.pread(image.fd, image.bytes, 0), np.uint8)

        times = best_of(rounds, time.perf_counter, lambda: runner.run(one()), partial(plain_pillow, data))
        runner.run(decoder.close())
    return times


if __name__ == "__main__":
    for row in bench():
        print("{:52} {:7.1f} ms {:7.1f} ms {:5.2f}x".format(*row))

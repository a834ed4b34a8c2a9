"""Makes the 8-bit copy of a vision encoder and proves it against the original; see `int8_maker`."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hailo_common.engine.contract import RgbImage
from hailo_common.files import fsync_folder, write_atomic
from hailo_common.inference.model_dir import ModelDir
from hailo_common.inference.onnx import Graph
from hailo_common.ipc.messages import Channel
from hailo_florence.model.preprocess import ImageSettings, read_image_settings
from hailo_florence.onnx.int8_verdict import Verdict, read_verdict, verdict_path
from hailo_florence.onnx.quantise import quantise
from hailo_florence.onnx.stages import OnnxVisionEncoder

_MADE = 0.3  # share of the work that making the copy is


def make(channel: Channel, order: dict[str, Any]) -> Verdict:
    """The copy under its name, if it is to be trusted, with its verdict beside it.

    Raises ModelError or OSError.
    """
    source, copy = Path(order["source"]), Path(order["copy"])
    copy.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    with _alone(copy.parent):
        known = read_verdict(copy)
        if known is not None and (copy.is_file() or not known.trusted):
            return known
        _sweep(copy)
        temporary = copy.with_name(f".{copy.name}.tmp")
        with _gone_on_error(temporary):
            content = quantise(source, order["bits"], lambda share: _tell(channel, share * _MADE))
            digest = hashlib.sha256(content).hexdigest()
            _write(temporary, content)
            del content
            settings = read_image_settings(ModelDir(Path(order["folder"])))
            verdict = compare(source, temporary, settings, order["threads"])
            if verdict.trusted:
                temporary.rename(copy)
            else:
                temporary.unlink()
        fsync_folder(copy.parent)
        verdict = replace(verdict, sha256=digest)
        write_atomic(verdict_path(copy), json.dumps(asdict(verdict)).encode())
        return verdict


def compare(source: Path, copy: Path, settings: ImageSettings, threads: int) -> Verdict:
    """Run both on one image, one after the other. Raises ModelError where one cannot be run."""
    image = sample_image(settings.target.width, settings.target.height)
    truth, original_seconds = _features(source, settings, image, threads)
    made, seconds = _features(copy, settings, image, threads)
    difference = float(np.linalg.norm(made - truth) / np.linalg.norm(truth))
    return Verdict(
        difference if np.isfinite(difference) else float("inf"),
        round(seconds, 4),
        round(original_seconds, 4),
    )


def sample_image(width: int, height: int, seed: int = 0) -> RgbImage:
    """An image with coarse and fine structure in about the shares that photographs have, and a few edges."""
    random = np.random.Generator(np.random.PCG64(seed))
    image = np.zeros((height, width, 3))
    size = 2
    while size <= max(width, height):
        coarse = random.standard_normal((size, size, 3)) / size
        image += coarse[np.arange(height)[:, None] * size // height, np.arange(width) * size // width]
        size *= 2
    image = (image - image.min()) / (image.max() - image.min()) * 255
    image[height // 8 : height // 3, width // 2 : width * 3 // 4] = (200, 30, 40)
    made: RgbImage = image.astype(np.uint8)
    return made


def _features(
    path: Path, settings: ImageSettings, image: RgbImage, threads: int
) -> tuple[NDArray[np.float32], float]:
    with contextlib.closing(OnnxVisionEncoder(Graph(path, threads), settings)) as encoder:
        began = time.process_time()
        features = encoder.encode(image)
        return features.astype(np.float32), time.process_time() - began


def _tell(channel: Channel, share: float) -> None:
    channel.send({"share": round(share, 3)})


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One maker at a time; the parent's deadline bounds the wait."""
    fd = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


@contextlib.contextmanager
def _gone_on_error(temporary: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _sweep(copy: Path) -> None:
    """Remove copies of other originals and what makers left that died: one copy is kept."""
    for path in copy.parent.iterdir():
        if path.suffix in (".onnx", ".json", ".tmp") and path.is_file():
            path.unlink(missing_ok=True)

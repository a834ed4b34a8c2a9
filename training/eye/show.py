"""What the eye sees in pictures: `python -m training.eye.show PICTURE...` prints a line for each thing."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

from training.eye.graphs import Normalisation, florence_eye
from training.eye.nanodet import SIDE
from training.eye.package import CACHE
from training.eye.things import THRESHOLD
from training.things.kinds import COLOURS, KINDS


class Eye:
    """The eye without an encoder, in ONNX Runtime."""

    def __init__(self, threshold: float = THRESHOLD) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        content = florence_eye(threshold=threshold).SerializeToString()
        self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        self._normalisation = Normalisation()

    def __call__(self, picture: Image.Image) -> NDArray[np.float32]:
        """The rows of `things` that are not empty [n, 8]; see `training.eye.things`."""
        whole = picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        pixels = np.asarray(whole, np.float32) / 255
        normal = (pixels - self._normalisation.mean) / self._normalisation.std
        feeds = {"pixel_values": normal.transpose(2, 0, 1)[None].astype(np.float32)}
        things: NDArray[np.float32] = self._session.run(["image_features"], feeds)[0][0]
        return things[things[:, 0] >= 0]


def lines(things: NDArray[np.float32]) -> Iterator[str]:
    """A line for each thing."""
    for kind, score, *box, colour, share in things.tolist():
        coloured = f"{COLOURS[int(colour)]} {share:.2f}" if colour >= 0 else "-"
        yield f"  {KINDS[int(kind)].name:16} {score:.2f}  {' '.join(f'{at:.2f}' for at in box)}  {coloured}"


def main() -> None:
    """Print what is in each picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", type=Path, nargs="+")
    parser.add_argument("--threshold", type=float, default=THRESHOLD)
    parser.add_argument("--save", type=Path, help=f"write the eye's own graph too, for example into {CACHE}")
    options = parser.parse_args()
    if options.save:
        options.save.write_bytes(florence_eye(threshold=options.threshold).SerializeToString())
    eye = Eye(options.threshold)
    for path in options.pictures:
        with Image.open(path) as picture:
            print(path, *lines(eye(picture)), sep="\n")


if __name__ == "__main__":
    main()

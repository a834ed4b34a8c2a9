"""Put another eye before the encoder of things of an exported folder.

`python -m training.voice.renew_eye FOLDER`.

The language part stays as it is, so nothing is trained anew when the detector or its thresholds change.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import onnx

from training.eye.graphs import FEATURES, THINGS, florence_eye
from training.things.view import ROWS

ROW = 8


def things_part(path: Path) -> onnx.ModelProto:
    """What a vision encoder's file does behind its eye: from `things` to `image_features`."""
    whole = onnx.load(str(path))
    shape = [1, ROWS, ROW]
    whole.graph.value_info.append(onnx.helper.make_tensor_value_info(THINGS, onnx.TensorProto.FLOAT, shape))
    part = onnx.utils.Extractor(whole).extract_model([THINGS], [FEATURES])
    del part.graph.value_info[:]
    return part


def main() -> None:
    """Rewrite the vision encoder's file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    path = parser.parse_args().folder / "onnx" / "vision_encoder.onnx"
    renewed = florence_eye(things_part(path))
    waiting = path.with_suffix(".part")
    onnx.save(renewed, str(waiting))
    waiting.replace(path)


if __name__ == "__main__":
    main()

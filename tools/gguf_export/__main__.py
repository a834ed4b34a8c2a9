"""`python -m tools.gguf_export FOLDER OUT [--type Q8_0]`: a Qwen2-VL folder of float32 ONNX files as GGUF."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tools.gguf_export.files import MODEL, PROJECTOR, plain, quantised, write_model, write_projector
from tools.gguf_export.weights import read_weights, text_tensors, vision_tensors


def convert(folder: Path, out: Path, kind: str = "F32") -> None:
    """Write `model.gguf` and `mmproj.gguf` into `out`, and the model card beside them."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    processor = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
    weights = read_weights(folder)
    shaped = plain if kind == "F32" else quantised(kind)
    patch = config["vision_config"]["patch_size"]
    out.mkdir(parents=True, exist_ok=True)
    write_model(out / MODEL, config, folder, (shaped(*item) for item in text_tensors(weights)))
    write_projector(
        out / PROJECTOR, config, processor, (shaped(*item) for item in vision_tensors(weights, patch))
    )
    card = folder / "model_card.json"
    if card.exists():
        (out / card.name).write_bytes(card.read_bytes())


def main() -> int:
    """Convert one folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="a folder of hailo-vision's, with float32 ONNX files")
    parser.add_argument("out", type=Path, help="where the two files go")
    parser.add_argument("--type", default="F32", choices=["F32", "Q8_0", "Q4_0"], help="of the matrices")
    options = parser.parse_args()
    try:
        convert(options.folder, options.out, options.type)
    except (OSError, KeyError, ValueError) as error:
        print(f"{options.folder}: not a Qwen2-VL folder that can be converted: {error!r}", file=sys.stderr)
        return 65
    return 0


if __name__ == "__main__":
    sys.exit(main())

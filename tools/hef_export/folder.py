"""The files around the graphs: embeddings for the host, scripts for the compiler, and what is in the folder.

No PyTorch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hailo_common.inference.model_dir import ModelDir, integer_in, section
from hailo_common.inference.onnx import Graph
from hailo_florence.model.generation import read_generation_config
from hailo_florence.model.prompt import Prompts

ENCODER = "florence2_transformer_encoder"
DECODER = "florence2_transformer_decoder"
VISION = "florence2_vision_encoder"
"""The networks' names, which become the beginning of their streams' names; those of the published HEFs."""
_LAYER_NORM = "equalization=disabled, bit_decomposition_mode=uniform_precision"
SCRIPT = """\
model_optimization_config(calibration, batch_size=4, calibset_size={rows})
model_optimization_flavor(optimization_level=0, compression_level=0)
pre_quantization_optimization(ew_add_fusing, policy=disabled)
pre_quantization_optimization(layer_norm_decomposition, {layer_norm})
pre_quantization_optimization(matmul_correction, layers={{matmul*}}, correction_type=zp_comp_block)
pre_quantization_optimization(matmul_equalization, layers={{matmul*}}, policy=enabled, matmul_bias=enabled)
{inputs}
quantization_param({{ew_add*}}, precision_mode=a16_w16)
"""
"""Settings of Hailo's Model Zoo for text encoders on the Hailo-10H: where to begin, not where to end."""
README = """\
# For Hailo's Dataflow Compiler

Made by tools/hef_export/__main__.py; docs/hailo-compile.md says what to do with it. manifest.json lists every
file with its SHA-256, the shapes, the operators, and how many calibration answers equalled the CPU's.

{shapes}
"""


def write_embeddings(folder: Path) -> None:
    """Write the three `.npy` files that a HEF's host needs, in float32, out of `embed_tokens.onnx`.

    `word_embedding.npy` (vocabulary, d); `caption_embedding.npy` (1, 1, n, d), the whole prompt of a caption;
    `vqa_embedding.npy` (1, 1, n, d), the prompt of a question up to where the question begins.
    """
    files = ModelDir(folder)
    text = section(files.json("config.json"), "text_config", "config.json")
    ids = np.arange(integer_in(text, "vocab_size", "config.json"))
    graph = Graph(files.onnx("embed_tokens"), 1)
    words = graph.run(["inputs_embeds"], {"input_ids": graph.cast("input_ids", ids[None])})[0][0]
    words = words.astype(np.float32, copy=False)
    wordings = Prompts(files, read_generation_config(files)).wordings
    np.save(folder / "word_embedding.npy", words)
    np.save(folder / "caption_embedding.npy", words[None, None, list(wordings.caption)])
    np.save(folder / "vqa_embedding.npy", words[None, None, list(wordings.vqa)])


def write_scripts(folder: Path, rows: int) -> None:
    """A model script for each language network, told how many calibration rows there are."""
    for name, inputs in ((ENCODER, 1), (DECODER, 2)):
        layers = (f"quantization_param(input_layer{n}, precision_mode=a16_w16)" for n in range(1, inputs + 1))
        (folder / f"{name}.alls").write_text(
            SCRIPT.format(rows=rows, inputs="\n".join(layers), layer_norm=_LAYER_NORM)
        )


def write_manifest(folder: Path, compiling: Path, about: Mapping[str, Any]) -> None:
    """`manifest.json` and `README.md` in `compiling`; files are listed by their path in `folder`."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json")
    graphs = {path.stem: _tensors(path) for path in sorted(compiling.glob("*.onnx"))}
    lines = [
        f"- {name}: {kind} `{tensor}` {shape}"
        for name, graph in graphs.items()
        for kind, tensors in graph.items()
        for tensor, shape in tensors.items()
    ]
    (compiling / "README.md").write_text(README.format(shapes="\n".join(lines)))
    listed = {str(path.relative_to(folder)): _entry(path) for path in files if path.name != "README.md"}
    text = json.dumps({**about, "graphs": graphs, "files": listed}, indent=2)
    (compiling / "manifest.json").write_text(text + "\n")


def _tensors(path: Path) -> dict[str, dict[str, list[int | None]]]:
    graph = Graph(path, 1)
    sides = {"input": graph.inputs, "output": graph.outputs}
    return {kind: {name: list(item.shape) for name, item in side.items()} for kind, side in sides.items()}


def _entry(path: Path) -> dict[str, Any]:
    """Size and hash, and the arrays of `.npy` and `.npz` files."""
    with path.open("rb") as opened:
        entry: dict[str, Any] = {
            "bytes": path.stat().st_size,
            "sha256": hashlib.file_digest(opened, "sha256").hexdigest(),
        }
    if path.suffix == ".npy":
        entry["shape"] = list(np.load(path, mmap_mode="r").shape)
    elif path.suffix == ".npz":
        with np.load(path) as arrays:
            entry["shapes"] = {name: list(arrays[name].shape) for name in arrays.files}
    return entry

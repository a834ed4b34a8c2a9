"""Put the eye as it is now into exported models, whose encoders and language parts stay as they are.

`python -m training.eye.replace FOLDER...` writes `onnx/vision_encoder.onnx` of each folder anew: what comes
before `things` is the present eye's, what comes after it the file's own. An eye that sees better needs no
training.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import onnx

from hailo_common.files import write_atomic
from training.eye.graphs import THINGS, Normalisation, Patches, florence_eye, load_source, qwen_eye
from training.eye.package import CACHE
from training.eye.tfjs import TfjsGraph

_KEPT = "kept."


def joined(front: onnx.ModelProto, whole: onnx.ModelProto) -> onnx.ModelProto:
    """`whole` with all that its `things` are made of out of `front`. Raises ValueError where one has none."""
    inputs = {item.name for item in whole.graph.input}
    before = _needed(front.graph, {THINGS}, set())
    after = _needed(whole.graph, {item.name for item in whole.graph.output}, {THINGS})
    if not any(THINGS in node.output for node in before) or not any(THINGS in node.input for node in after):
        raise ValueError(f"expected an eye with a tensor named {THINGS!r}")
    taken = {name for node in before for name in (*node.input, *node.output)} - {THINGS} - inputs
    own = {name for node in after for name in (*node.input, *node.output)}
    renamed = {name: f"{_KEPT}{name}" for name in own & taken if name}
    weights = _weights(whole.graph, after)
    for item in weights:
        item.name = renamed.get(item.name, item.name)
    for node in after:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.output[:] = [renamed.get(name, name) for name in node.output]
    graph = onnx.helper.make_graph(
        [*before, *after],
        whole.graph.name,
        whole.graph.input,
        whole.graph.output,
        [*_weights(front.graph, before), *weights],
    )
    made = onnx.helper.make_model(graph, opset_imports=front.opset_import, ir_version=front.ir_version)
    onnx.checker.check_model(made)
    return made


def _needed(graph: onnx.GraphProto, ends: set[str], starts: set[str]) -> list[onnx.NodeProto]:
    """Copies of the nodes, in their order, that lie between the tensors `starts` and `ends`."""
    waiting, kept = set(ends), []
    for node in reversed(graph.node):
        if waiting & set(node.output) - starts:
            waiting |= set(node.input)
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            kept.append(copy)
    return kept[::-1]


def _weights(graph: onnx.GraphProto, nodes: list[onnx.NodeProto]) -> list[onnx.TensorProto]:
    """Copies of the weights that these nodes use."""
    used, kept = {name for node in nodes for name in node.input}, []
    for item in graph.initializer:
        if item.name in used:
            copy = onnx.TensorProto()
            copy.CopyFrom(item)
            kept.append(copy)
    return kept


def eye_of(folder: Path, source: TfjsGraph) -> onnx.ModelProto:
    """The present eye for a model folder of either service, without an encoder."""
    settings = _json(folder / "preprocessor_config.json")
    normalisation = Normalisation(tuple(settings["image_mean"]), tuple(settings["image_std"]))
    if "Qwen2VL" not in settings["image_processor_type"]:
        return florence_eye(source=source, normalisation=normalisation)
    patches = Patches(settings["patch_size"], settings["temporal_patch_size"], settings["merge_size"])
    return qwen_eye(source=source, patches=patches, normalisation=normalisation)


def _json(path: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(path.read_text())
    return values


def main() -> None:
    """Replace the eye of each folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where the detector's package lies")
    options = parser.parse_args()
    source = load_source(options.cache)
    for folder in options.folders:
        path = folder / "onnx" / "vision_encoder.onnx"
        write_atomic(path, joined(eye_of(folder, source), onnx.load(path)).SerializeToString())
        print(path)


if __name__ == "__main__":
    main()

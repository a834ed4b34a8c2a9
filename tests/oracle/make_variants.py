"""Write half-precision and 8-bit files of random-a into `tests/data/florence-variants/onnx`. Needs onnx.

`python -m tests.oracle.make_variants`. The `_fp16` files take and give float32, as most community exports do;
the `_q4` files are half precision through and through, inputs and outputs too: no 4-bit files, only a name.
There is no 8-bit vision encoder: on processors with AMX, ONNX Runtime 1.21 multiplies 8-bit matrices wrongly
that have 24 columns (17 to 31 beyond a multiple of 32), which those of this vision encoder have.
"""

from __future__ import annotations

import onnx
from onnx import TensorProto

from tests.hailo_florence.cases import DATA, FOLDERS
from training.onnx.onnx_graphs import merge_decoders
from training.onnx.onnx_variants import as_float16, as_int8

PARTS = ("vision_encoder", "embed_tokens", "encoder_model", "decoder_model", "decoder_with_past_model")
SOURCE = FOLDERS["random-a"] / "onnx"
TARGET = DATA / "florence-variants" / "onnx"


def all_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy without the casts that `as_float16` puts next to inputs and outputs."""
    made = as_float16(model)
    graph = made.graph
    halves = {f"{item.name}/half": item.name for item in [*graph.input, *graph.output]}
    nodes = [
        node
        for node in graph.node
        if not (node.op_type == "Cast" and {*node.input, *node.output} & {*halves})
    ]
    for node in nodes:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                names[index] = halves.get(name, name)
    del graph.node[:]
    graph.node.extend(nodes)
    for item in [*graph.input, *graph.output]:
        if item.type.tensor_type.elem_type == TensorProto.FLOAT:
            item.type.tensor_type.elem_type = TensorProto.FLOAT16
    return made


def main() -> None:
    """Write all files."""
    TARGET.mkdir(parents=True, exist_ok=True)
    parts = {name: onnx.load(SOURCE / f"{name}.onnx") for name in PARTS}
    for ending, change in (("fp16", as_float16), ("int8", as_int8), ("q4", all_half)):
        made = {name: change(part) for name, part in parts.items()}
        first, later = made.pop("decoder_model"), made.pop("decoder_with_past_model")
        made["decoder_model_merged"] = merge_decoders(first, later)
        if ending == "int8":
            del made["vision_encoder"]
        for name, part in made.items():
            onnx.checker.check_model(part)
            onnx.save(part, TARGET / f"{name}_{ending}.onnx")


if __name__ == "__main__":
    main()

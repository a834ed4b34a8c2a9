"""Fixed-shape ONNX graphs for Hailo's Dataflow Compiler, and a check that they hold nothing it refuses.

Opset 13, where a layer norm is ReduceMean, Sub, Pow, Sqrt, Div, and GELU is Div, Erf, Add, Mul: the forms in
which Hailo's own conversion of Whisper for the Hailo-10H (github.com/hailocs/hailo-whisper, decoder without
cache included) and the transformers of Hailo's Model Zoo reach the compiler.
"""

from __future__ import annotations

import io
import tempfile
import warnings
from collections import Counter
from pathlib import Path

import onnx
import onnxruntime
import torch
from torch import nn
from transformers import Florence2ForConditionalGeneration

from tools.hef_export.parts import FixedDecoder, FixedEncoder
from training.onnx.onnx_graphs import IR_VERSION
from training.onnx.onnx_vision import VisionEncoder

OPSET = 13
LANGUAGE_OPERATORS = frozenset(
    {"Add", "Concat", "Constant", "Div", "Erf", "MatMul", "Mul", "Pow", "ReduceMean", "Reshape", "Softmax"}
    | {"Sqrt", "Sub", "Transpose"}
)
MASK_OPERATORS = frozenset({"Clip", "Relu"})
VISION_OPERATORS = LANGUAGE_OPERATORS | {"Conv", "Gather", "Pad", "Slice"}


def encoder_graph(
    model: Florence2ForConditionalGeneration, length: int, *, masked: bool = False
) -> onnx.ModelProto:
    """`inputs_embeds` (1, length, width) to `last_hidden_state` of the same shape."""
    embeds = torch.zeros(1, length, model.config.text_config.d_model)
    part = _trace(FixedEncoder(model, length, masked=masked), {"inputs_embeds": embeds}, "last_hidden_state")
    return _checked(part, LANGUAGE_OPERATORS | MASK_OPERATORS if masked else LANGUAGE_OPERATORS)


def decoder_graph(
    model: Florence2ForConditionalGeneration,
    length: int,
    window: int,
    *,
    masked: bool = False,
    cuts: int = 1,
    joined: bool = True,
) -> onnx.ModelProto:
    """Scores `logits` (1, window, vocabulary); not `joined` parts of it, `logits_1` and so on.

    Inputs: `encoder_hidden_states` (1, length, width) and `inputs_embeds` (1, window, width). Their order is
    that of the compiler's `input_layer1` and `input_layer2`.
    """
    width = model.config.text_config.d_model
    inputs = {
        "encoder_hidden_states": torch.zeros(1, length, width),
        "inputs_embeds": torch.zeros(1, window, width),
    }
    decoder = FixedDecoder(model, window, masked=masked, cuts=cuts, joined=joined)
    apart = cuts > 1 and not joined
    names = [f"logits_{number}" for number in range(1, len(decoder.heads) + 1)] if apart else ["logits"]
    part = _trace(decoder, inputs, *names)
    return _checked(part, LANGUAGE_OPERATORS | MASK_OPERATORS if masked else LANGUAGE_OPERATORS)


def vision_graph(model: Florence2ForConditionalGeneration, side: int) -> onnx.ModelProto:
    """`pixel_values` (1, 3, side, side) to `image_features` (1, tokens, width)."""
    pixels = {"pixel_values": torch.zeros(1, 3, side, side)}
    return _checked(_folded(_trace(VisionEncoder(model, side), pixels, "image_features")), VISION_OPERATORS)


def operators(part: onnx.ModelProto) -> dict[str, int]:
    """How many nodes of each kind a graph has."""
    return dict(sorted(Counter(node.op_type for node in part.graph.node).items()))


def _trace(module: nn.Module, inputs: dict[str, torch.Tensor], *outputs: str) -> onnx.ModelProto:
    """The module as a graph without free sizes; nodes keep the names of the modules they come from."""
    memory = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            tuple(inputs.values()),
            memory,
            dynamo=False,
            opset_version=OPSET,
            do_constant_folding=True,
            input_names=list(inputs),
            output_names=list(outputs),
        )
    part = onnx.load_from_string(memory.getvalue())
    part.ir_version = IR_VERSION
    _drop_identities(part.graph)
    return part


def _drop_identities(graph: onnx.GraphProto) -> None:
    """Name equal weights alike: of those the exporter keeps one, and an Identity of it for each other."""
    source: dict[str, str] = {}
    for node in [node for node in graph.node if node.op_type == "Identity"]:
        source[node.output[0]] = source.get(node.input[0], node.input[0])
        graph.node.remove(node)
    for node in graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = source.get(name, name)


def _folded(part: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with every size computed now: sizes of a fixed input are constants."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder) / "folded.onnx")
        onnxruntime.InferenceSession(
            part.SerializeToString(),
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=["MatMulAddFusion"],
        )
        made = onnx.load(options.optimized_model_filepath)
    domains = [item for item in made.opset_import if item.domain == ""]
    del made.opset_import[:]
    made.opset_import.extend(domains)
    made.ir_version = IR_VERSION
    return made


def _checked(part: onnx.ModelProto, allowed: frozenset[str]) -> onnx.ModelProto:
    """The graph itself; ValueError for a free size or an operator that the compiler is not known to take."""
    for value in [*part.graph.input, *part.graph.output]:
        if any(dim.dim_value < 1 for dim in value.type.tensor_type.shape.dim):
            raise ValueError(f"the size of {value.name} is not fixed")
    unknown = {node.op_type for node in part.graph.node if node.domain or node.op_type not in allowed}
    if unknown:
        raise ValueError(f"the compiler is not known to take {', '.join(sorted(unknown))}")
    onnx.checker.check_model(part, full_check=True)
    return part

"""Traces the parts of a Florence-2 to ONNX graphs with the community's tensor names."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from typing import Any

import onnx
import torch
from torch import nn
from transformers import Florence2ForConditionalGeneration

from training.onnx.onnx_graphs import tidy
from training.onnx.onnx_parts import Decoder, EmbedTokens, Encoder
from training.onnx.onnx_vision import VisionEncoder

OPSET = 17
LARGEST = 1_500_000_000  # bytes of weights inside one file; a message holds 2 GB
LANGUAGE = "model.language_model"
Axes = dict[str, dict[int, str]]


def _trace(
    module: nn.Module,
    example: tuple[torch.Tensor, ...],
    names: Sequence[str],
    outputs: Sequence[str],
    axes: Axes,
    *,
    weights: dict[str, Any],
) -> onnx.ModelProto:
    """The module as an ONNX graph whose weights keep their torch names.

    The tracer hands its graph over in one message, which holds 2 GB at most: larger weights are put in
    afterwards.
    """
    large = is_large(sum(value.nbytes for value in weights.values()))
    memory = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            example,
            memory,
            dynamo=False,
            opset_version=OPSET,
            do_constant_folding=False,
            export_params=not large,
            input_names=list(names),
            output_names=list(outputs),
            dynamic_axes=axes,
        )
    part = onnx.load_from_string(memory.getvalue())
    if large:
        _store(part.graph, weights)
    return part


def export_small(module: nn.Module, example: torch.Tensor, name: str, output: str) -> onnx.ModelProto:
    """A module with one input and few weights of any names as a graph of fixed shapes, constants folded."""
    memory = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            (example,),
            memory,
            dynamo=False,
            opset_version=OPSET,
            input_names=[name],
            output_names=[output],
        )
    return onnx.load_from_string(memory.getvalue())


def is_large(size: int) -> bool:
    """Whether weights of so many bytes have to stand outside the graph."""
    return size > LARGEST


def weight_bytes(part: onnx.ModelProto) -> int:
    """How much a graph's weights take."""
    return sum(len(item.raw_data) for item in part.graph.initializer)


def _store(graph: onnx.GraphProto, weights: dict[str, Any]) -> None:
    """Make initializers of the inputs that are weights."""
    inputs = list(graph.input)
    del graph.input[:]
    for item in inputs:
        if item.name in weights:
            graph.initializer.append(onnx.numpy_helper.from_array(weights[item.name], item.name))
        else:
            graph.input.append(item)


def _weights(module: nn.Module) -> dict[str, Any]:
    return {name: value.detach().numpy() for name, value in module.state_dict(keep_vars=True).items()}


def export_part(
    module: nn.Module,
    example: tuple[torch.Tensor, ...],
    names: Sequence[str],
    outputs: Sequence[str],
    axes: Axes,
    *,
    prefix: dict[str, str],
) -> onnx.ModelProto:
    """The module as a checked graph with sizes free along `axes`.

    `prefix` says under which name of the torch model each of the module's children stands.
    """
    weights = _weights(module.eval())
    part = _trace(module, example, names, outputs, axes, weights=weights)
    tidy(part, weights, prefix)
    if not is_large(weight_bytes(part)):
        onnx.checker.check_model(part)
    return part


def _decoder_axes(layers: int, cached: bool) -> tuple[list[str], list[str], Axes]:
    """Names of the past, of the outputs, and all dynamic axes."""
    past, outputs = [], ["logits"]
    axes: Axes = {
        "encoder_attention_mask": {0: "batch", 1: "encoder_sequence"},
        "encoder_hidden_states": {0: "batch", 1: "encoder_sequence"},
        "inputs_embeds": {0: "batch", 1: "sequence"},
        "logits": {0: "batch", 1: "sequence"},
    }
    for layer in range(layers):
        for side in ("decoder", "encoder"):
            for kind in ("key", "value"):
                ending = f"{layer}.{side}.{kind}"
                before = "encoder_sequence" if side == "encoder" else "past_sequence"
                axes[f"past_key_values.{ending}"] = {0: "batch", 2: before}
                axes[f"present.{ending}"] = {0: "batch", 2: before if side == "encoder" else "total_sequence"}
                past.append(f"past_key_values.{ending}")
                if not (cached and side == "encoder"):
                    outputs.append(f"present.{ending}")
    return past, outputs, axes


def _export_decoder(model: Florence2ForConditionalGeneration, cached: bool) -> onnx.ModelProto:
    text = model.config.text_config
    past, outputs, axes = _decoder_axes(text.decoder_layers, cached)
    heads = text.decoder_attention_heads
    mask, states = torch.ones(2, 7, dtype=torch.long), torch.randn(2, 7, text.d_model)
    if cached:
        kept = [
            torch.randn(2, heads, 4 if ".decoder." in name else 7, text.d_model // heads) for name in past
        ]
        names, example = ["encoder_attention_mask", "inputs_embeds", *past], (mask, states[:, :1], *kept)
    else:
        names = ["encoder_attention_mask", "encoder_hidden_states", "inputs_embeds"]
        example = (mask, states, states[:, :3])
    used = {name: axes[name] for name in [*names, *outputs]}
    prefix = {"body": f"{LANGUAGE}.decoder", "lm_head": "lm_head"}
    part = export_part(Decoder(model, cached), example, names, outputs, used, prefix=prefix)
    for output in part.graph.output:
        if output.name.startswith("present."):
            output.CopyFrom(kept_tensor(output.name, axes[output.name], heads, text.d_model // heads))
    return part


def kept_tensor(name: str, axes: dict[int, str], heads: int, width: int) -> onnx.ValueInfoProto:
    """Declares keys or values [batch, heads, tokens, width of a head]; the tracer loses some sizes."""
    shape = [axes[0], heads, axes[2], width]
    return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)


def export_language(model: Florence2ForConditionalGeneration) -> dict[str, onnx.ModelProto]:
    """The four graphs behind the vision encoder by file name."""
    tokens = {0: "batch", 1: "sequence"}
    mask, embeds = torch.ones(2, 9, dtype=torch.long), torch.randn(2, 9, model.config.text_config.d_model)
    return {
        "embed_tokens": export_part(
            EmbedTokens(model),
            (torch.ones(2, 9, dtype=torch.long),),
            ["input_ids"],
            ["inputs_embeds"],
            {"input_ids": tokens, "inputs_embeds": tokens},
            prefix={"shared": f"{LANGUAGE}.shared"},
        ),
        "encoder_model": export_part(
            Encoder(model),
            (mask, embeds),
            ["attention_mask", "inputs_embeds"],
            ["last_hidden_state"],
            {"attention_mask": tokens, "inputs_embeds": tokens, "last_hidden_state": tokens},
            prefix={"body": f"{LANGUAGE}.encoder"},
        ),
        "decoder_model": _export_decoder(model, cached=False),
        "decoder_with_past_model": _export_decoder(model, cached=True),
    }


def export_parts(model: Florence2ForConditionalGeneration, side: int) -> dict[str, onnx.ModelProto]:
    """The five separate graphs by file name; `side` is the picture's width and height in pixels."""
    batch = {0: "batch"}
    projector = {name: f"model.{name}" for name in ("vision_tower", "multi_modal_projector")}
    vision = export_part(
        VisionEncoder(model, side),
        (torch.randn(2, 3, side, side),),
        ["pixel_values"],
        ["image_features"],
        {"pixel_values": batch, "image_features": batch},
        prefix=projector,
    )
    return {"vision_encoder": vision, **export_language(model)}

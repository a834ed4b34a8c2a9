"""Weights of a Qwen2-VL under llama.cpp's names, from an exported folder or made at random.

Sources of the names: llama.cpp b11549, `gguf-py/gguf/constants.py` and `tools/mtmd/clip-impl.h`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Weights = Mapping[str, NDArray[np.float32]]

_TEXT = {
    "input_layernorm.weight": "attn_norm.weight",
    "post_attention_layernorm.weight": "ffn_norm.weight",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_VISION = {
    "norm1": "ln1",
    "norm2": "ln2",
    "attn.proj": "attn_out",
    "mlp.fc1": "ffn_up",
    "mlp.fc2": "ffn_down",
}
_MERGER = {
    "model.visual.merger.ln_q": "v.post_ln",
    "model.visual.merger.mlp.0": "mm.0",
    "model.visual.merger.mlp.2": "mm.2",
}
_TOP = {
    "model.language_model.embed_tokens.weight": "token_embd.weight",
    "model.language_model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
_PATCHES = "model.visual.patch_embed.proj.weight"
_TRANSPOSED = ".T"


def read_weights(folder: Path) -> dict[str, NDArray[np.float32]]:
    """The weights of a folder's float32 files under their torch names."""
    import onnx  # noqa: PLC0415 - a development tool's
    from onnx import numpy_helper  # noqa: PLC0415

    found: dict[str, NDArray[np.float32]] = {}
    for path in sorted((folder / "onnx").glob("*.onnx")):
        for item in onnx.load(str(path)).graph.initializer:
            value = numpy_helper.to_array(item)
            turned = item.name.endswith(_TRANSPOSED)
            found[item.name.removesuffix(_TRANSPOSED)] = np.ascontiguousarray(value.T if turned else value)
    return found


def text_tensors(weights: Weights) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Name and value of each tensor of the language model."""
    for name, value in weights.items():
        if name in _TOP:
            yield _TOP[name], value
        elif name.startswith("model.language_model.layers."):
            layer, rest = name.removeprefix("model.language_model.layers.").split(".", 1)
            part = next(part for part in _TEXT if rest.startswith(part))
            yield f"blk.{layer}.{rest.replace(part, _TEXT[part])}", value


def vision_tensors(weights: Weights, patch: int) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Name and value of each tensor of the projector file; the two frames of a patch are two of them."""
    for name, value in weights.items():
        if name == _PATCHES:
            cut = value.reshape(value.shape[0], 3, 2, patch, patch)
            yield "v.patch_embd.weight", np.ascontiguousarray(cut[:, :, 0])
            yield "v.patch_embd.weight.1", np.ascontiguousarray(cut[:, :, 1])
        elif name.startswith("model.visual.blocks."):
            layer, rest = name.removeprefix("model.visual.blocks.").split(".", 1)
            yield from _vision_block(f"v.blk.{layer}", rest, value)
        else:
            for source, target in _MERGER.items():
                if name.startswith(f"{source}."):
                    yield name.replace(source, target), value


def _vision_block(
    block: str, rest: str, value: NDArray[np.float32]
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    if rest.startswith("attn.qkv"):
        kind = rest.rsplit(".", 1)[1]
        for letter, part in zip("qkv", np.split(value, 3), strict=True):
            yield f"{block}.attn_{letter}.{kind}", part
        return
    name = next(name for name in _VISION if rest.startswith(name))
    yield f"{block}.{rest.replace(name, _VISION[name])}", value

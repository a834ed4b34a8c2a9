"""Tiny models of the families that llama.cpp carries, with random weights under their real names and shapes.

What they say is nonsense; their vocabularies, templates, tiles, memories and marks are their families'.
Sources: llama.cpp b11549, `conversion/*.py`, `gguf-py/gguf/constants.py`, `tools/mtmd/clip-impl.h`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

WIDTH, HEADS, SHARED, FFN, LAYERS, CONTEXT = 64, 4, 2, 96, 2, 4096
SIGHT, SIGHT_HEADS, SIGHT_FFN, SIGHT_LAYERS = 32, 2, 48, 2
Tensors = Iterator[tuple[str, NDArray[Any]]]

_START = "{% for message in messages %}"
_PARTS = (
    "{% for part in message.content %}{% if part.type == 'image' %}IMAGE{% else %}{{ part.text }}{% endif %}"
    "{% endfor %}"
)
_ASKED = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
_CHATML = _START + "<|im_start|>{{ message.role }}\n" + _PARTS + "<|im_end|>\n{% endfor %}" + _ASKED
_QWEN = _CHATML.replace("IMAGE", "<|vision_start|><|image_pad|><|vision_end|>")
_LFM2 = "{{ bos_token }}" + _CHATML.replace("IMAGE", "<image>")
_SMOLVLM = (
    "<|im_start|>"
    + _START
    + "{{ message.role | capitalize }}:"
    + _PARTS.replace("IMAGE", "<image>")
    + "<end_of_utterance>\n{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
)
_GEMMA = (
    "{{ bos_token }}"
    + _START
    + "<start_of_turn>{{ 'model' if message.role == 'assistant' else 'user' }}\n"
    + _PARTS.replace("IMAGE", "<start_of_image>")
    + "<end_of_turn>\n{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)


@dataclass(frozen=True)
class Family:
    """One kind of model: its names and what is its own.

    `specials` are tokens of the template, the last of them ends an answer; `tile` are the pixels and `merge`
    the patches beside each other that become one token.
    """

    architecture: str
    projector: str
    template: str
    specials: tuple[str, ...]
    pre: str
    tile: int
    patch: int
    merge: int
    first: str | None = None
    deepstack: tuple[int, ...] = ()


def _grid(form: str) -> tuple[str, ...]:
    return tuple(form % (row, column) for row in range(1, 7) for column in range(1, 7))


FAMILIES = {
    "smolvlm": Family(
        "llama", "idefics3", _SMOLVLM,
        ("<|im_start|>", "<|im_end|>", "<image>", "<fake_token_around_image>", "<global-img>",
         *_grid("<row_%d_col_%d>"), "<end_of_utterance>"),
        "smollm", tile=512, patch=16, merge=4,
    ),
    "qwen3-vl": Family(
        "qwen3vl", "qwen3vl_merger", _QWEN,
        ("<|im_start|>", "<|vision_start|>", "<|image_pad|>", "<|vision_end|>", "<|im_end|>"),
        "qwen2", tile=128, patch=16, merge=2, deepstack=(0,),
    ),
    "lfm2-vl": Family(
        "lfm2", "lfm2", _LFM2,
        ("<|startoftext|>", "<|im_start|>", "<image>", "<|image_start|>", "<|image_end|>",
         "<|img_thumbnail|>", *_grid("<|img_row_%d_col_%d|>"), "<|im_end|>"),
        "lfm2", tile=256, patch=16, merge=2, first="<|startoftext|>",
    ),
    "gemma-3": Family(
        "gemma3", "gemma3", _GEMMA,
        ("<bos>", "<start_of_turn>", "<start_of_image>", "<end_of_image>", "<end_of_turn>"),
        "", tile=256, patch=16, merge=4, first="<bos>",
    ),
}  # fmt: skip


def write_family(name: str, folder: Path) -> None:
    """Write both files of one family."""
    family = FAMILIES[name]
    random = np.random.default_rng(7)

    def made(*shape: int) -> NDArray[np.float32]:
        return np.asarray(random.standard_normal(shape) * shape[-1] ** -0.5, np.float32)

    folder.mkdir(parents=True, exist_ok=True)
    _write_model(folder / "model.gguf", name, family, made)
    _write_projector(folder / "mmproj.gguf", family, made)


Made = Callable[..., NDArray[np.float32]]


def _write_model(path: Path, name: str, family: Family, made: Made) -> None:
    writer = gguf.GGUFWriter(path, family.architecture)
    writer.add_name(f"tiny-{name}")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FFN)
    writer.add_head_count(HEADS)
    recurrent = family.architecture == "lfm2"
    writer.add_head_count_kv([0, SHARED] if recurrent else SHARED)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10000.0)
    if recurrent:
        writer.add_shortconv_l_cache(3)
    if family.architecture == "qwen3vl":
        writer.add_rope_dimension_sections([4, 2, 2, 0])
        writer.add_num_deepstack_layers(len(family.deepstack))
    if family.architecture == "gemma3":
        writer.add_sliding_window(64)
    size = _add_vocabulary(writer, family)
    writer.add_chat_template(family.template)
    _finish(writer, _text(family, size, made))


def _add_vocabulary(writer: gguf.GGUFWriter, family: Family) -> int:
    spm = family.architecture == "gemma3"
    pieces = _spm_pieces() if spm else _byte_pieces()
    kinds = [kind for _, kind in pieces] + [gguf.TokenType.CONTROL] * len(family.specials)
    texts = [text for text, _ in pieces] + list(family.specials)
    writer.add_tokenizer_model("llama" if spm else "gpt2")
    writer.add_token_list(texts)
    writer.add_token_types(kinds)
    if spm:
        writer.add_token_scores([-float(number) for number in range(len(texts))])
        writer.add_add_space_prefix(False)
    else:
        writer.add_tokenizer_pre(family.pre)
        writer.add_token_merges(["Ċ Ċ", "t h", "th e"])
    writer.add_add_bos_token(family.first is not None)
    if family.first is not None:
        writer.add_bos_token_id(texts.index(family.first))
    writer.add_eos_token_id(len(texts) - 1)
    return len(texts)


def _byte_pieces() -> list[tuple[str, int]]:
    """The 256 bytes as GPT-2 writes them, and what the merges make."""
    printed = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printed]
    texts = [chr(byte) for byte in printed] + [chr(256 + number) for number in range(len(others))]
    return [(text, gguf.TokenType.NORMAL) for text in (*texts, "ĊĊ", "th", "the")]


def _spm_pieces() -> list[tuple[str, int]]:
    bytes_ = [(f"<0x{byte:02X}>", gguf.TokenType.BYTE) for byte in range(256)]
    letters = [(text, gguf.TokenType.NORMAL) for text in ("▁", *map(chr, range(33, 127)), "▁t", "he", "▁the")]
    return [("<unk>", gguf.TokenType.UNKNOWN), *bytes_, *letters]


def _text(family: Family, size: int, made: Made) -> Tensors:
    head = WIDTH // HEADS
    ones = np.ones(WIDTH, np.float32)
    yield "token_embd.weight", made(size, WIDTH)
    yield "token_embd_norm.weight" if family.architecture == "lfm2" else "output_norm.weight", ones
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        for name in ("attn_norm", "ffn_norm"):
            yield f"{block}.{name}.weight", ones
        if family.architecture == "gemma3":
            for name in ("post_attention_norm", "post_ffw_norm"):
                yield f"{block}.{name}.weight", ones
        if family.architecture == "lfm2" and not layer:
            yield f"{block}.shortconv.conv.weight", made(WIDTH, 3)
            yield f"{block}.shortconv.in_proj.weight", made(3 * WIDTH, WIDTH)
            yield f"{block}.shortconv.out_proj.weight", made(WIDTH, WIDTH)
        else:
            for letter, rows in (("q", WIDTH), ("k", head * SHARED), ("v", head * SHARED)):
                yield f"{block}.attn_{letter}.weight", made(rows, WIDTH)
            yield f"{block}.attn_output.weight", made(WIDTH, WIDTH)
            if family.architecture != "llama":
                for letter in "qk":
                    yield f"{block}.attn_{letter}_norm.weight", np.ones(head, np.float32)
        for name, shape in (("gate", (FFN, WIDTH)), ("up", (FFN, WIDTH)), ("down", (WIDTH, FFN))):
            yield f"{block}.ffn_{name}.weight", made(*shape)


def _write_projector(path: Path, family: Family, made: Made) -> None:
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_clip_has_vision_encoder(True)
    writer.add_clip_projector_type(family.projector)
    writer.add_vision_image_size(family.tile)
    writer.add_vision_patch_size(family.patch)
    writer.add_vision_embedding_length(SIGHT)
    writer.add_vision_feed_forward_length(SIGHT_FFN)
    writer.add_vision_projection_dim(WIDTH)
    writer.add_vision_block_count(SIGHT_LAYERS)
    writer.add_vision_head_count(SIGHT_HEADS)
    writer.add_vision_attention_layernorm_eps(1e-6)
    writer.add_vision_image_mean([0.5] * 3)
    writer.add_vision_image_std([0.5] * 3)
    writer.add_vision_use_gelu(True)
    if family.projector == "qwen3vl_merger":
        writer.add_vision_spatial_merge_size(family.merge)
        writer.add_vision_is_deepstack_layers([layer in family.deepstack for layer in range(SIGHT_LAYERS)])
    else:
        writer.add_vision_projector_scale_factor(family.merge)
    if family.projector == "idefics3":
        writer.add_vision_preproc_image_size(2048)
    _finish(writer, _sight(family, made))


def _sight(family: Family, made: Made) -> Tensors:
    zeros, ones = np.zeros(SIGHT, np.float32), np.ones(SIGHT, np.float32)
    yield "v.patch_embd.weight", made(SIGHT, 3, family.patch, family.patch) * 0.2
    yield "v.patch_embd.bias", zeros
    yield "v.position_embd.weight", made((family.tile // family.patch) ** 2, SIGHT)
    fused = family.projector == "qwen3vl_merger"
    if fused:
        yield "v.patch_embd.weight.1", made(SIGHT, 3, family.patch, family.patch) * 0.2
    for layer in range(SIGHT_LAYERS):
        block = f"v.blk.{layer}"
        for name in ("ln1", "ln2"):
            yield f"{block}.{name}.weight", ones
            yield f"{block}.{name}.bias", zeros
        for name, rows in (("qkv", 3 * SIGHT),) if fused else (("q", SIGHT), ("k", SIGHT), ("v", SIGHT)):
            yield f"{block}.attn_{name}.weight", made(rows, SIGHT)
            yield f"{block}.attn_{name}.bias", np.zeros(rows, np.float32)
        for name, rows, columns in (
            ("attn_out", SIGHT, SIGHT),
            ("ffn_up", SIGHT_FFN, SIGHT),
            ("ffn_down", SIGHT, SIGHT_FFN),
        ):
            yield f"{block}.{name}.weight", made(rows, columns)
            yield f"{block}.{name}.bias", np.zeros(rows, np.float32)
    yield "v.post_ln.weight", ones
    yield "v.post_ln.bias", zeros
    yield from _projection(family, made)


def _projection(family: Family, made: Made) -> Tensors:
    merged = SIGHT * family.merge**2
    if family.projector == "idefics3":
        yield "mm.model.fc.weight", made(WIDTH, merged)
    elif family.projector == "gemma3":
        yield "mm.input_projection.weight", made(SIGHT, WIDTH)
        yield "mm.soft_emb_norm.weight", np.ones(SIGHT, np.float32)
    else:
        first = 1 if family.projector == "lfm2" else 0
        for number, rows, columns in ((first, merged, merged), (2, WIDTH, merged)):
            yield f"mm.{number}.weight", made(rows, columns)
            yield f"mm.{number}.bias", np.zeros(rows, np.float32)
    for layer in family.deepstack:
        block = f"v.deepstack.{layer}"
        yield f"{block}.norm.weight", np.ones(merged, np.float32)
        yield f"{block}.norm.bias", np.zeros(merged, np.float32)
        for name, rows in (("fc1", merged), ("fc2", WIDTH)):
            yield f"{block}.{name}.weight", made(rows, merged)
            yield f"{block}.{name}.bias", np.zeros(rows, np.float32)


def _finish(writer: gguf.GGUFWriter, tensors: Tensors) -> None:
    for name, value in tensors:
        writer.add_tensor(name, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

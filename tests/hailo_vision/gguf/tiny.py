"""Tiny models of the families that llama.cpp carries, with random weights under their real names and shapes.

What they say is nonsense; their vocabularies, templates, tiles, memories and marks are their families'.
Sources: llama.cpp b11549, `conversion/*.py`, `gguf-py/gguf/constants.py`, `tools/mtmd/clip-impl.h`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np

from tools.gguf_export.files import Tensor

Tensors = Iterator[Tensor]
Made = Callable[..., Tensor]
"""From a name and a shape to a tensor of random numbers."""


@dataclass(frozen=True)
class Sizes:
    """How large both sides of a model are; `tokens` is the least size of its vocabulary."""

    width: int = 64
    heads: int = 4
    shared: int = 2
    ffn: int = 96
    layers: int = 2
    context: int = 4096
    tokens: int = 0
    sight: int = 32
    sight_heads: int = 2
    sight_ffn: int = 48
    sight_layers: int = 2


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


def write_family(
    name: str, folder: Path, sizes: Sizes | None = None, made: Made | None = None, *, called: str = ""
) -> None:
    """Write both files of one family, tiny and in float32 unless told; `called` is the model's own name."""
    family, sizes, made = FAMILIES[name], sizes or Sizes(), made or _random()
    folder.mkdir(parents=True, exist_ok=True)
    _write_model(folder / "model.gguf", family, sizes, made, called or f"random-{family.architecture}")
    _write_projector(folder / "mmproj.gguf", family, sizes, made)


def _random() -> Made:
    random = np.random.default_rng(7)

    def made(name: str, *shape: int) -> Tensor:
        return name, np.asarray(random.standard_normal(shape) * shape[-1] ** -0.5, np.float32), None

    return made


def _filled(name: str, size: int, value: float = 0.0) -> Tensor:
    return name, np.full(size, value, np.float32), None


def _patches(name: str, sizes: Sizes, family: Family) -> Tensor:
    shape = (sizes.sight, 3, family.patch, family.patch)
    return name, np.asarray(np.random.default_rng(8).standard_normal(shape) * 0.05, np.float32), None


def _write_model(path: Path, family: Family, sizes: Sizes, made: Made, called: str) -> None:
    writer = gguf.GGUFWriter(path, family.architecture)
    writer.add_name(called)
    writer.add_context_length(sizes.context)
    writer.add_embedding_length(sizes.width)
    writer.add_block_count(sizes.layers)
    writer.add_feed_forward_length(sizes.ffn)
    writer.add_head_count(sizes.heads)
    recurrent = family.architecture == "lfm2"
    writer.add_head_count_kv([0, sizes.shared] if recurrent else sizes.shared)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10000.0)
    if recurrent:
        writer.add_shortconv_l_cache(3)
    if family.architecture == "qwen3vl":
        writer.add_rope_dimension_sections([4, 2, 2, 0])
        writer.add_num_deepstack_layers(len(family.deepstack))
    if family.architecture == "gemma3":
        writer.add_sliding_window(64)
    count = _add_vocabulary(writer, family, sizes.tokens)
    writer.add_chat_template(family.template)
    _finish(writer, _text(family, sizes, count, made))


def _add_vocabulary(writer: gguf.GGUFWriter, family: Family, least: int) -> int:
    spm = family.architecture == "gemma3"
    pieces = _spm_pieces() if spm else _byte_pieces()
    missing = max(0, least - len(pieces) - len(family.specials))
    pieces += [(f"[unused{number}]", gguf.TokenType.NORMAL) for number in range(missing)]
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


def _text(family: Family, sizes: Sizes, count: int, made: Made) -> Tensors:
    last = "token_embd_norm" if family.architecture == "lfm2" else "output_norm"
    yield made("token_embd.weight", count, sizes.width)
    yield _filled(f"{last}.weight", sizes.width, 1)
    if family.architecture == "llama":
        yield made("output.weight", count, sizes.width)
    for layer in range(sizes.layers):
        block = f"blk.{layer}"
        names = ["attn_norm", "ffn_norm"]
        if family.architecture == "gemma3":
            names += ["post_attention_norm", "post_ffw_norm"]
        for name in names:
            yield _filled(f"{block}.{name}.weight", sizes.width, 1)
        if family.architecture == "lfm2" and not layer:
            yield from _convolution(block, sizes.width, made)
        else:
            yield from _attention(family, sizes, block, made)
        yield made(f"{block}.ffn_gate.weight", sizes.ffn, sizes.width)
        yield made(f"{block}.ffn_up.weight", sizes.ffn, sizes.width)
        yield made(f"{block}.ffn_down.weight", sizes.width, sizes.ffn)


def _convolution(block: str, width: int, made: Made) -> Tensors:
    yield made(f"{block}.shortconv.conv.weight", width, 3)
    yield made(f"{block}.shortconv.in_proj.weight", 3 * width, width)
    yield made(f"{block}.shortconv.out_proj.weight", width, width)


def _attention(family: Family, sizes: Sizes, block: str, made: Made) -> Tensors:
    head = sizes.width // sizes.heads
    for letter, rows in (("q", sizes.width), ("k", head * sizes.shared), ("v", head * sizes.shared)):
        yield made(f"{block}.attn_{letter}.weight", rows, sizes.width)
    yield made(f"{block}.attn_output.weight", sizes.width, sizes.width)
    for letter in "" if family.architecture == "llama" else "qk":
        yield _filled(f"{block}.attn_{letter}_norm.weight", head, 1)


def _write_projector(path: Path, family: Family, sizes: Sizes, made: Made) -> None:
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_clip_has_vision_encoder(True)
    writer.add_clip_projector_type(family.projector)
    writer.add_vision_image_size(family.tile)
    writer.add_vision_patch_size(family.patch)
    writer.add_vision_embedding_length(sizes.sight)
    writer.add_vision_feed_forward_length(sizes.sight_ffn)
    writer.add_vision_projection_dim(sizes.width)
    writer.add_vision_block_count(sizes.sight_layers)
    writer.add_vision_head_count(sizes.sight_heads)
    writer.add_vision_attention_layernorm_eps(1e-6)
    writer.add_vision_image_mean([0.5] * 3)
    writer.add_vision_image_std([0.5] * 3)
    writer.add_vision_use_gelu(True)
    if family.projector == "qwen3vl_merger":
        writer.add_vision_spatial_merge_size(family.merge)
        writer.add_vision_is_deepstack_layers(
            [layer in family.deepstack for layer in range(sizes.sight_layers)]
        )
    else:
        writer.add_vision_projector_scale_factor(family.merge)
    if family.projector == "idefics3":
        writer.add_vision_preproc_image_size(2048)
    _finish(writer, _sight(family, sizes, made))


def _sight(family: Family, sizes: Sizes, made: Made) -> Tensors:
    width, fused = sizes.sight, family.projector == "qwen3vl_merger"
    yield _patches("v.patch_embd.weight", sizes, family)
    yield _filled("v.patch_embd.bias", width)
    places = np.random.default_rng(9).standard_normal(((family.tile // family.patch) ** 2, width)) * 0.1
    yield "v.position_embd.weight", np.asarray(places, np.float32), None
    if fused:
        yield _patches("v.patch_embd.weight.1", sizes, family)
    parts = (("qkv", 3 * width),) if fused else (("q", width), ("k", width), ("v", width))
    matrices = [(f"attn_{name}", rows, width) for name, rows in parts]
    matrices += [
        ("attn_out", width, width),
        ("ffn_up", sizes.sight_ffn, width),
        ("ffn_down", width, sizes.sight_ffn),
    ]
    for layer in range(sizes.sight_layers):
        block = f"v.blk.{layer}"
        for name in ("ln1", "ln2"):
            yield _filled(f"{block}.{name}.weight", width, 1)
            yield _filled(f"{block}.{name}.bias", width)
        for name, rows, columns in matrices:
            yield made(f"{block}.{name}.weight", rows, columns)
            yield _filled(f"{block}.{name}.bias", rows)
    yield _filled("v.post_ln.weight", width, 1)
    yield _filled("v.post_ln.bias", width)
    yield from _projection(family, sizes, made)


def _projection(family: Family, sizes: Sizes, made: Made) -> Tensors:
    merged, out = sizes.sight * family.merge**2, sizes.width
    if family.projector == "idefics3":
        yield made("mm.model.fc.weight", out, merged)
    elif family.projector == "gemma3":
        yield made("mm.input_projection.weight", sizes.sight, out)
        yield _filled("mm.soft_emb_norm.weight", sizes.sight, 1)
    else:
        first = 1 if family.projector == "lfm2" else 0
        for number, rows in ((first, merged), (2, out)):
            yield made(f"mm.{number}.weight", rows, merged)
            yield _filled(f"mm.{number}.bias", rows)
    for layer in family.deepstack:
        block = f"v.deepstack.{layer}"
        yield _filled(f"{block}.norm.weight", merged, 1)
        yield _filled(f"{block}.norm.bias", merged)
        for name, rows in (("fc1", merged), ("fc2", out)):
            yield made(f"{block}.{name}.weight", rows, merged)
            yield _filled(f"{block}.{name}.bias", rows)


def _finish(writer: gguf.GGUFWriter, tensors: Tensors) -> None:
    for name, value, kind in tensors:
        writer.add_tensor(name, value, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

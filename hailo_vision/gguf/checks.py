"""Whether what a header says can be, before the library opens the file.

llama.cpp asserts much of what it reads, and an assertion ends the process: what it takes for granted is asked
here, with the file's name. Source: `src/llama-model.cpp`, `src/llama-vocab.cpp`, `src/models` of b11549.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hailo_common.errors import ModelError
from hailo_vision.gguf.header import Header

ARCHITECTURES = ("gemma3", "lfm2", "llama", "phi2", "qwen2", "qwen2vl", "qwen3", "qwen3vl")
"""Language models that are known here."""
_PLACED = ("qwen2vl", "qwen3vl")  # with M-RoPE
_RECURRENT = ("lfm2",)
_VOCABULARIES = ("gpt2", "llama")
_SCALINGS = ("none", "linear", "yarn", "longrope")
_FLOAT_KINDS = frozenset((0, 1, 30))  # float32, float16, bfloat16
_MATRIX_KINDS = _FLOAT_KINDS | {2, 3, 6, 7, 8, *range(10, 15), *range(16, 24), 29, 34, 35, 39}
_MOST_TOKENS = 1 << 20
_MOST_TEMPLATE = 1 << 18


@dataclass(frozen=True)
class Bounds:
    """What a value may be: its kinds and, of numbers, the least and the most."""

    kinds: tuple[str, ...]
    least: float = -math.inf
    most: float = math.inf
    needed: bool = False

    def check(self, header: Header, key: str) -> None:
        """Raises ModelError when the value of a key is none of these."""
        if key not in header.values:
            if self.needed:
                raise wrong(header, f"expected a value for {key!r}")
            return
        if header.kinds[key] not in self.kinds:
            raise wrong(header, f"expected {' or '.join(self.kinds)} for {key!r}, not {header.kinds[key]}")
        value = header.values[key]
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, (int, float)) and not self.least <= item <= self.most:
                raise wrong(header, f"expected {self.least:g} to {self.most:g} for {key!r}, not {item}")


TEXT, FLAG = Bounds(("str",)), Bounds(("bool",))
GENERAL = {
    "general.architecture": Bounds(("str",), needed=True),
    **dict.fromkeys(("general.name", "general.description", "general.type"), TEXT),
    **dict.fromkeys(
        ("general.alignment", "general.file_type", "general.quantization_version"), Bounds(("u32",))
    ),
    "split.count": Bounds(("u16",), 0, 1),
}


def whole(least: int, most: int, *, needed: bool = False) -> Bounds:
    """A whole number."""
    return Bounds(("u32",), least, most, needed=needed)


def _each(least: int, most: int, *, needed: bool = False) -> Bounds:
    """A whole number, or one for each layer."""
    return Bounds(("u32", "[u32]", "[i32]"), least, most, needed=needed)


def real(least: float, most: float, *, needed: bool = False) -> Bounds:
    """A number that is one."""
    return Bounds(("f32",), least, most, needed=needed)


_NONE = Bounds(("u32",), 0, 0)
_SIZES: Mapping[str, Bounds] = {
    "context_length": whole(1, 1 << 26, needed=True),
    "embedding_length": whole(1, 1 << 16, needed=True),
    "block_count": whole(1, 512, needed=True),
    "feed_forward_length": _each(1, 1 << 20, needed=True),
    "attention.head_count": _each(1, 1024, needed=True),
    "attention.head_count_kv": _each(0, 1024),
    **dict.fromkeys(("attention.key_length", "attention.value_length"), whole(2, 1024)),
    **dict.fromkeys(("attention.key_length_swa", "attention.value_length_swa"), whole(2, 1024)),
    **dict.fromkeys(("rope.dimension_count", "rope.dimension_count_swa"), whole(2, 1024)),
    "rope.dimension_sections": Bounds(("[u32]", "[i32]"), 0, 1024),
    **dict.fromkeys(("rope.freq_base", "rope.freq_base_swa"), real(1e-3, 1e12)),
    "rope.scaling.type": TEXT,
    **dict.fromkeys(("rope.scaling.factor", "rope.scale_linear", "rope.scaling.attn_factor"), real(0, 1e6)),
    "rope.scaling.original_context_length": whole(1, 1 << 26),
    "attention.layer_norm_rms_epsilon": real(0, 1),
    "attention.layer_norm_epsilon": real(0, 1),
    "attention.sliding_window": whole(0, 1 << 26),
    "attention.sliding_window_pattern": Bounds(("u32", "[bool]", "[u32]", "[i32]"), 0, 512),
    "attention.causal": Bounds(("bool",), 1, 1),
    "final_logit_softcapping": real(0, 1e6),
    "n_deepstack_layers": whole(0, 16),
    "shortconv.l_cache": whole(2, 64),
    "vocab_size": whole(1, _MOST_TOKENS),
    **dict.fromkeys(("expert_count", "expert_used_count", "expert_group_count", "pooling_type"), _NONE),
    **dict.fromkeys(("nextn_predict_layers", "decision.block_count", "decision_block_count"), _NONE),
}
_NEEDED = {
    "phi2": ("attention.layer_norm_epsilon",),
    "lfm2": ("attention.layer_norm_rms_epsilon", "shortconv.l_cache"),
}
_TOKEN_IDS = (
    *("bos", "eos", "eot", "eom", "unknown", "seperator", "padding", "cls", "mask", "fim_pre", "fim_suf"),
    *("fim_mid", "fim_pad", "fim_rep", "fim_sep"),
)
_VOCABULARY: Mapping[str, Bounds] = {
    "tokenizer.ggml.model": Bounds(("str",), needed=True),
    "tokenizer.ggml.pre": TEXT,
    "tokenizer.ggml.tokens": Bounds(("[str]",), needed=True),
    "tokenizer.ggml.token_type": Bounds(("[i32]",), needed=True),
    "tokenizer.ggml.scores": Bounds(("[f32]",), -1e9, 1e9),
    "tokenizer.ggml.merges": Bounds(("[str]",)),
    "tokenizer.chat_template": TEXT,
    **{f"tokenizer.ggml.{name}": FLAG for name in ("add_bos_token", "add_eos_token", "add_sep_token")},
    **{f"tokenizer.ggml.{name}": FLAG for name in ("add_space_prefix", "remove_extra_whitespaces")},
}


def wrong(header: Header, why: str) -> ModelError:
    """The error that names the file."""
    return ModelError(f"{header.path}: {why}")


def unknown(header: Header, what: str, known: Iterable[str]) -> ModelError:
    """The error that names the file and what may stand there."""
    return wrong(header, f"the {what} is not known here; known are {', '.join(known)}")


def check_bounds(header: Header, bounds: Mapping[str, Bounds]) -> None:
    """Raises ModelError when a value is not what its key allows."""
    for key, bound in bounds.items():
        bound.check(header, key)


def check_kinds(header: Header) -> None:
    """Raises ModelError when a vector is quantised or a matrix holds no numbers of a model."""
    for name, tensor in header.tensors.items():
        allowed = {0} if len(tensor.shape) == 1 else _MATRIX_KINDS
        if tensor.kind not in allowed:
            raise wrong(header, f"the tensor {name!r} is of a type ({tensor.kind}) that cannot be used there")


def check_model(header: Header) -> None:
    """Raises ModelError when a language model's header says what cannot be."""
    check_bounds(header, GENERAL)
    own = header.architecture
    if own not in ARCHITECTURES:
        raise unknown(header, f"architecture {own!r}", ARCHITECTURES)
    check_bounds(header, {f"{own}.{key}": bound for key, bound in _SIZES.items()})
    needed = _NEEDED.get(own, ("attention.layer_norm_rms_epsilon",))
    check_bounds(header, {f"{own}.{key}": Bounds(_SIZES[key].kinds, needed=True) for key in needed})
    _check_heads(header, own)
    _check_rope(header, own)
    _check_vocabulary(header)
    check_kinds(header)


def _check_heads(header: Header, own: str) -> None:
    blocks, width = header.number(f"{own}.block_count"), header.number(f"{own}.embedding_length")
    heads = layers(header, f"{own}.attention.head_count", blocks)
    shared = layers(header, f"{own}.attention.head_count_kv", blocks, heads)
    layers(header, f"{own}.feed_forward_length", blocks)
    pattern = header.values.get(f"{own}.attention.sliding_window_pattern", 1)
    if isinstance(pattern, list) and len(pattern) < blocks:
        raise wrong(header, "expected a sliding window for each layer")
    for all_heads, kept in zip(heads, shared, strict=True):
        if not kept and own in _RECURRENT:
            continue
        if not kept or all_heads % kept:
            raise wrong(header, f"{kept} key-value heads cannot serve {all_heads} heads")
    if len(set(heads)) > 1 or not any(shared):
        raise wrong(header, "expected equal numbers of heads in all layers")
    if width % heads[0] or width // heads[0] % 2:
        raise wrong(header, f"{heads[0]} heads cannot share an embedding of {width}")
    if header.number(f"{own}.n_deepstack_layers", 0) > blocks:
        raise wrong(header, "expected no more deepstack layers than layers")


def layers(header: Header, key: str, blocks: int, usual: list[int] | None = None) -> list[int]:
    """A value for each layer."""
    value = header.values.get(key)
    if value is None and usual is not None:
        return usual
    listed: list[int] = value if isinstance(value, list) else [int(value or 0)] * blocks
    if len(listed) != blocks:
        raise wrong(header, f"expected {blocks} numbers for {key!r}, one for each layer")
    return listed


def _check_rope(header: Header, own: str) -> None:
    usual = header.number(f"{own}.embedding_length") // _first(header.values[f"{own}.attention.head_count"])
    key = header.number(f"{own}.attention.key_length", usual)
    value = header.number(f"{own}.attention.value_length", usual)
    turned = header.number(f"{own}.rope.dimension_count", key)
    if key % 2 or turned % 2 or turned > key or (own != "phi2" and turned != key):
        raise wrong(header, f"{turned} turned numbers do not fit heads of {key}")
    if own != "llama" and value != key:
        raise wrong(header, f"heads have {key} numbers in keys and {value} in values")
    for name, full in (("key_length", key), ("value_length", value)):
        if header.number(f"{own}.attention.{name}_swa", full) != full:
            raise wrong(header, "expected heads of one size in all layers")
    if header.number(f"{own}.rope.dimension_count_swa", turned) != turned:
        raise wrong(header, "expected heads of one size in all layers")
    if header.text(f"{own}.rope.scaling.type", "none") not in _SCALINGS:
        raise wrong(header, f"expected one of {', '.join(_SCALINGS)} for '{own}.rope.scaling.type'")
    if own in _PLACED:
        sections = header.values.get(f"{own}.rope.dimension_sections", [])
        if len(sections) != 4 or not 0 < sum(sections) <= turned // 2:
            raise wrong(header, f"expected four rope sections whose sum is at most {turned // 2}")


def _first(value: Any) -> int:
    return int(value[0] if isinstance(value, list) else value)


def _check_vocabulary(header: Header) -> None:
    check_bounds(header, _VOCABULARY)
    model = header.text("tokenizer.ggml.model")
    if model not in _VOCABULARIES:
        raise unknown(header, f"vocabulary {model!r}", _VOCABULARIES)
    tokens = header.listed("tokenizer.ggml.tokens", str)
    size = len(tokens)
    if not 1 < size <= _MOST_TOKENS:
        raise wrong(header, f"a vocabulary of {size} tokens")
    if len({_as_read(number, text) for number, text in enumerate(tokens)}) != size:
        raise wrong(header, "a token is there twice")
    for name in ("token_type", "scores"):
        if len(header.values.get(f"tokenizer.ggml.{name}", tokens)) != size:
            raise wrong(header, f"expected {size} numbers for 'tokenizer.ggml.{name}', one for each token")
    if model == "llama" and not {f"<0x{byte:02X}>" for byte in range(256)} <= set(tokens):
        raise wrong(header, "expected a token for each of the 256 bytes")
    if model == "gpt2" and "tokenizer.ggml.merges" not in header.values:
        raise wrong(header, "expected a list for 'tokenizer.ggml.merges'")
    check_bounds(header, {f"tokenizer.ggml.{name}_token_id": whole(0, size - 1) for name in _TOKEN_IDS})
    lists = Bounds(("[u32]", "[i32]"), 0, size - 1)
    check_bounds(header, {f"tokenizer.ggml.{name}": lists for name in ("eog_token_ids", "suppress_tokens")})
    if len(header.text("tokenizer.chat_template", "")) > _MOST_TEMPLATE:
        raise wrong(header, f"its chat template is longer than {_MOST_TEMPLATE} characters")


def _as_read(number: int, text: str) -> str:
    """A token as the library has it: up to its first null character."""
    return text.split("\0", 1)[0] or f"[EMPTY_{number}]"

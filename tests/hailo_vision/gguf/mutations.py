"""Damage to a pair of GGUF files, drawn from a seed: one to four changes, each of one kind."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from math import prod
from random import Random
from typing import Any

from gguf.constants import GGML_QUANT_SIZES

from tests.hailo_vision.gguf.rawfile import ARRAY, NUMBERS, STRING, Entry, RawFile, RawTensor

Pair = tuple[RawFile, RawFile]
"""The model and its projector."""
EDGES = (0, 1, 2, 3, 5, 7, 31, 33, 255, 256, 4095, 65536, 1 << 20, (1 << 31) - 1, 1 << 31, (1 << 32) - 1)
FLOATS = (0.0, -1.0, float("nan"), float("inf"), float("-inf"), 1e38, 1e-45, -1e-6, 1e300, 1.0)
BLOCKS = {int(kind): sizes for kind, sizes in GGML_QUANT_SIZES.items()}
KINDS = (*range(41), 99, 1 << 31)
TEXTS = (
    b"",
    b"x",
    b"\0",
    b"\xff\xfe",
    b"%s%n" * 9,
    b"a" * 70_000,
    "\ue000é\u2028".encode(),
    b"none",
    b"yarn",
)
MODELS = (
    b"llama",
    b"qwen2",
    b"qwen3vl",
    b"gemma3",
    b"lfm2",
    b"mamba",
    b"bert",
    b"t5",
    b"clip",
    b"gpt2",
    b"rwkv7",
)
PROJECTORS = (
    b"mlp",
    b"ldpv2",
    b"idefics3",
    b"gemma3",
    b"lfm2",
    b"qwen2.5vl_merger",
    b"qwen3vl_merger",
    b"pixtral",
)
TOKENIZERS = (
    b"llama",
    b"bert",
    b"t5",
    b"rwkv",
    b"plamo2",
    b"no_vocab",
    b"none",
    b"gemma4",
    b"default",
    b"llama-bpe",
)
TEMPLATES = (
    b"", b"{{", b"{% for x in range(99999) %}{% for y in range(99999) %}{% endfor %}{% endfor %}",
    b"{{ 'a' * 9999999999 }}", b"{{ ''.__class__.__mro__ }}", b"{{ messages | map('x' * 99) }}",
    b"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", b"{{ raise_exception('no') }}",
    b"{" * 9999 + b"}" * 9999,
    b"{{ '%99999999999d' % 1 }}", b"{{ messages[0].content }}", b"<|image_pad|>" * 50, b"{{ 2 ** (9 ** 9) }}",
    b"{{ (1,) * 9999999999 }}", b"{{ 'a'.center(9999999999) }}", b"{% set n = namespace(x='aa') %}"
    b"{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}{{ n.x }}",
    b"{{ '{:9999999999}'.format(1) }}",
)  # fmt: skip
WORDS = {
    b"general.architecture": MODELS,
    b"clip.projector_type": PROJECTORS,
    b"tokenizer.chat_template": TEMPLATES,
}
ADDED = {
    "m": ("expert_count", "expert_used_count", "attention.key_length", "attention.value_length",
          "pooling_type",
          "rope.dimension_count", "attention.sliding_window", "attention.causal", "rope.scaling.factor",
          "nextn_predict_layers", "vocab_size", "embedding_length_out",
          "rope.scaling.original_context_length",
          "attention.clamp_kqv", "expert_group_count", "ssm.conv_kernel", "leading_dense_block_count",
          "attention.key_length_swa", "attention.value_length_swa", "n_deepstack_layers", "logit_scale"),
    "p": ("clip.vision.projector.scale_factor", "clip.vision.n_wa_pattern", "clip.vision.spatial_merge_size",
          "clip.vision.attention.head_count_kv", "clip.vision.attention.head_dim", "clip.has_audio_encoder",
          "clip.vision.preproc_image_size", "clip.vision.window_size", "clip.minicpmv_version",
          "clip.use_silu",
          "clip.vision.feature_layer", "clip.vision.image_grid_pinpoints", "clip.vision.wa_layer_indexes",
          "clip.vision.is_deepstack_layers", "clip.vision.preproc_max_tiles", "clip.audio.projector_type"),
    "t": ("bos_token_id", "unknown_token_id", "padding_token_id", "eot_token_id", "eom_token_id",
          "add_bos_token",
          "add_eos_token", "scores", "fim_pre_token_id", "add_space_prefix", "seperator_token_id",
          "eog_token_ids",
          "precompiled_charsmap", "mask_token_id", "add_sep_token", "suppress_tokens",
          "remove_extra_whitespaces"),
    "g": ("general.alignment", "general.file_type", "general.name", "split.count",
          "general.quantization_version"),
}  # fmt: skip


def mutated(pair: Pair, seed: int) -> tuple[tuple[bytes, bytes], str]:
    """The two files' bytes after damage, and what was done."""
    random = Random(seed)
    model, projector = deepcopy(pair)
    done = []
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        file, side = random.choice(((model, "model"), (projector, "projector")))
        change = random.choice(CHANGES)
        done.append(f"{side}: {change.__name__[1:]}{change(random, file)}")
    if random.random() < 0.1:
        done.append(_both(random, model, projector))
    files = [model.packed(), projector.packed()]
    if random.random() < 0.15:
        which = random.randrange(2)
        files[which], what = _cut_or_flip(random, files[which])
        done.append(what)
    return (files[0], files[1]), "; ".join(done)


def _number(random: Random, kind: int, old: Any) -> Any:
    if kind in (6, 12):
        return random.choice((*FLOATS, old * -1))
    if kind == 7:
        return not old
    return random.choice((*EDGES, old + 1, old - 1, old * 2, old // 2, -1, -old, random.getrandbits(64)))


def _value(random: Random, file: RawFile) -> str:
    """Another value of the same kind."""
    entry = random.choice(file.entries)
    if entry.kind == ARRAY:
        return _list(random, file)
    if entry.kind != STRING:
        entry.value = _number(random, entry.kind, entry.value)
        return f" {entry.key!r} = {entry.value}"
    words = {
        b"general.architecture": MODELS,
        b"clip.projector_type": PROJECTORS,
        b"tokenizer.chat_template": TEMPLATES,
    }
    known = words.get(entry.key, TOKENIZERS if b"tokenizer" in entry.key else TEXTS)
    entry.value = random.choice((*known, *TEXTS))
    return f" {entry.key!r} = {entry.value[:60]!r}"


def _kind(random: Random, file: RawFile) -> str:
    """The same key with a value of another kind."""
    entry = random.choice(file.entries)
    entry.kind = random.choice((*NUMBERS, STRING, ARRAY, 13, 77))
    if entry.kind == ARRAY:
        entry.of = random.choice((*NUMBERS, STRING))
        entry.value = [entry.value if not isinstance(entry.value, list) else 1] * random.choice(
            (0, 1, 4, 5, 784)
        )
    elif entry.kind == STRING:
        entry.value = random.choice(TEXTS)
    elif isinstance(entry.value, (bytes, list)):
        entry.value = random.choice(EDGES)
    return f" {entry.key!r} is {entry.kind} {entry.of}"


def _list(random: Random, file: RawFile) -> str:
    """A list that is shorter, longer, or holds something else."""
    lists = [entry for entry in file.entries if entry.kind == ARRAY]
    if not lists:
        return ": none"
    entry = random.choice(lists)
    what = random.randrange(5)
    items = entry.value = list(entry.value)
    if what == 0:
        del items[random.randrange(len(items) + 1) :]
    elif what == 1:
        items += items[: random.randrange(1, 9)]
    elif what == 2:
        random.shuffle(items)
    else:
        for _ in range(random.choice((1, 5, len(items)))):
            if items:
                at = random.randrange(len(items))
                items[at] = _item(random, entry, items[at])
    return f" {entry.key!r} {what} {str(items)[:60]}"


def _item(random: Random, entry: Entry, old: Any) -> Any:
    if entry.of == STRING:
        return random.choice((*TEXTS[:5], b" ", b"a b c", b"\xc4\xa0 \xc4\xa0", random.choice(entry.value)))
    return _number(random, entry.of, old)


def _gone(random: Random, file: RawFile) -> str:
    """A key that is not there."""
    return f" {file.entries.pop(random.randrange(len(file.entries))).key!r}" if file.entries else ""


def _added(random: Random, file: RawFile) -> str:
    """A key that the library knows, with some value."""
    architecture = file.find("general.architecture")
    own = (
        architecture.value.decode("latin-1")
        if architecture and isinstance(architecture.value, bytes)
        else "x"
    )
    group = random.choice("gp" if own == "clip" else "mmttg")
    name = random.choice(ADDED[group])
    key = {"m": f"{own}.{name}", "t": f"tokenizer.ggml.{name}"}.get(group, name)
    kind = random.choice((4, 4, 5, 6, 7, STRING, ARRAY))
    of = random.choice((4, 5, 6, 7))
    value: Any = {6: random.choice(FLOATS), STRING: random.choice(TEXTS)}.get(kind, random.choice(EDGES))
    if kind == ARRAY:
        value = [random.choice(EDGES) for _ in range(random.choice((0, 1, 2, 4, 9)))]
    file.put(key, kind, value, of)
    return f" {key} = {str(value)[:60]} ({kind} {of})"


def _shape(random: Random, file: RawFile) -> str:
    """A tensor of another shape, often with as many elements."""
    tensor = random.choice(file.tensors)
    shape = tensor.shape
    what = random.randrange(5)
    if what == 0:
        random.shuffle(shape)
    elif what == 1:
        shape.append(random.choice((1, 1, 2)))
    elif what == 2 and len(shape) > 1:
        shape[:2] = [shape[0] * shape[1]]
    elif what == 3 and not shape[0] % 2:
        shape[:1] = [shape[0] // 2, 2]
    else:
        at = random.randrange(len(shape))
        shape[at] = random.choice(
            (0, 1, shape[at] - 1, shape[at] // 2, shape[at] + 1, shape[at] * 2, 1 << 33)
        )
        tensor.data += bytes(min(len(tensor.data), 1 << 20))
    return f" {tensor.name!r} {shape}"


def _blocks(random: Random, file: RawFile) -> str:
    """A tensor of another type, with bytes enough."""
    tensor = random.choice(file.tensors)
    tensor.kind = random.choice(KINDS)
    if tensor.kind in BLOCKS and random.random() < 0.9:
        block, size = BLOCKS[tensor.kind]
        tensor.data = random.randbytes(prod(tensor.shape) // block * size)
    return f" {tensor.name!r} is {tensor.kind}"


def _offset(random: Random, file: RawFile) -> str:
    """A tensor that begins elsewhere."""
    tensor = random.choice(file.tensors)
    tensor.offset = random.choice((0, 1, 32, 1 << 20, 1 << 40, (1 << 64) - 32, random.getrandbits(20) * 32))
    return f" {tensor.name!r} {tensor.offset}"


def _names(random: Random, file: RawFile) -> str:
    """A tensor that is gone, twice, exchanged or under another's name."""
    what = random.randrange(5)
    tensor = random.choice(file.tensors)
    other = random.choice(file.tensors)
    if what == 0:
        file.tensors.remove(tensor)
    elif what == 1:
        file.tensors.append(deepcopy(tensor))
    elif what == 2:
        tensor.name, other.name = other.name, tensor.name
    elif what == 3:
        names = (b"", b"x" * 63, b"x" * 200, b"blk.99.attn_q.weight", tensor.name.replace(b"weight", b"bias"))
        tensor.name = random.choice((*names, tensor.name.replace(b"attn_q", b"attn_q_norm"), b"v.class_embd"))
    else:
        extra = (b"rope_freqs.weight", b"v.pre_ln.weight", b"v.position_embd.weight", b"output.weight",
                 b"v.blk.0.attn_q_norm.weight", b"blk.0.attn_q_norm.weight", b"v.patch_embd.bias",
                 b"mm.1.weight",
                 b"v.blk.0.ffn_gate.weight", b"v.blk.0.ls1.weight", b"v.post_ln.bias",
                 b"output.bias")  # fmt: skip
        file.tensors.append(RawTensor(random.choice(extra), list(tensor.shape), tensor.kind, tensor.data))
    return f" {what} {tensor.name!r} {other.name!r}"


def _data(random: Random, file: RawFile) -> str:
    """Numbers that are none, or noise."""
    for tensor in random.sample(file.tensors, random.choice((1, 3, len(file.tensors)))):
        unit = random.choice((b"\xff", b"\0", b"\0\0\x80\x7f", random.randbytes(64)))
        tensor.data = (unit * (len(tensor.data) // len(unit) + 1))[: len(tensor.data)]
    return ""


def _counts(random: Random, file: RawFile) -> str:
    """A header that claims other counts or another version."""
    what = random.randrange(3)
    if what == 0:
        file.tensor_count = random.choice(
            (0, 1, len(file.tensors) - 1, len(file.tensors) + 1, 1 << 40, 1 << 63)
        )
    elif what == 1:
        file.entry_count = random.choice(
            (0, 1, len(file.entries) - 1, len(file.entries) + 1, 1 << 40, 1 << 63)
        )
    else:
        file.version = random.choice((0, 1, 2, 4, 1 << 31))
    return f" {file.tensor_count} {file.entry_count} {file.version}"


CHANGES: tuple[Callable[[Random, RawFile], str], ...] = (
    _value, _value, _value, _kind, _list, _list, _gone, _added, _added, _shape, _blocks, _offset, _names,
    _data,
    _counts,
)  # fmt: skip


def _both(random: Random, model: RawFile, projector: RawFile) -> str:
    """Sizes that agree with each other, and with nothing else; or the two files as each other."""
    if random.random() < 0.2:
        model.entries, projector.entries = projector.entries, model.entries
        return "entries exchanged"
    size = random.choice(EDGES)
    keys = ("embedding_length", "attention.head_count", "block_count", "feed_forward_length")
    key = random.choice(keys)
    for file, own in ((model, "qwen2vl"), (projector, "clip.vision")):
        entry = file.find(f"{own}.{key}")
        if entry is not None and entry.kind in NUMBERS:
            entry.value = size
    return f"both {key} = {size}"


def _cut_or_flip(random: Random, data: bytes) -> tuple[bytes, str]:
    if random.random() < 0.4:
        at = random.randrange(len(data))
        return data[:at], f"cut at {at}"
    made = bytearray(data)
    for _ in range(random.choice((1, 4, 40))):
        made[random.randrange(min(len(made), 40_000))] = random.getrandbits(8)
    return bytes(made), "bytes of the header"

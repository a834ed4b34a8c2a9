"""Whether what a projector's header says can be, before the library opens the file.

libmtmd checks few of a projector's shapes itself: a tensor that is missing or of another shape ends the
process, or reads beyond its end. Source: `tools/mtmd/clip.cpp` and `tools/mtmd/models` of b11549.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from hailo_common.errors import ModelError
from hailo_vision.gguf.checks import (
    FLAG,
    GENERAL,
    TEXT,
    Bounds,
    check_bounds,
    check_kinds,
    real,
    unknown,
    whole,
    wrong,
)
from hailo_vision.gguf.header import Header

ARCHITECTURE = "clip"
_VISION = "clip.vision"
_FLOATS = ("[f32]",)
_KEYS: Mapping[str, Bounds] = {
    **GENERAL,
    **dict.fromkeys(("clip.projector_type", f"{_VISION}.projector_type"), TEXT),
    "clip.has_vision_encoder": Bounds(("bool",), 1, 1, needed=True),
    **dict.fromkeys(("clip.has_audio_encoder", "clip.has_gen_audio_encoder"), Bounds(("bool",), 0, 0)),
    **dict.fromkeys(("clip.use_gelu", "clip.use_silu"), FLAG),
    f"{_VISION}.embedding_length": whole(1, 1 << 14, needed=True),
    f"{_VISION}.feed_forward_length": whole(0, 1 << 17, needed=True),
    f"{_VISION}.block_count": whole(1, 128, needed=True),
    f"{_VISION}.projection_dim": whole(0, 1 << 16, needed=True),
    f"{_VISION}.attention.head_count": whole(1, 256, needed=True),
    f"{_VISION}.attention.head_count_kv": whole(1, 256),
    f"{_VISION}.attention.head_dim": whole(1, 1024),
    f"{_VISION}.attention.layer_norm_epsilon": real(0, 1, needed=True),
    f"{_VISION}.image_size": whole(1, 4096, needed=True),
    f"{_VISION}.patch_size": whole(1, 256, needed=True),
    **{f"{_VISION}.image_{name}_pixels": whole(1, 1 << 28) for name in ("min", "max")},
    f"{_VISION}.preproc_image_size": whole(1, 8192),
    **{f"{_VISION}.preproc_{name}_tiles": whole(1, 64) for name in ("min", "max")},
    f"{_VISION}.image_mean": Bounds(_FLOATS, -1e3, 1e3, needed=True),
    f"{_VISION}.image_std": Bounds(_FLOATS, 1e-6, 1e3, needed=True),
    f"{_VISION}.image_resize_algo": TEXT,
    f"{_VISION}.mm_patch_merge_type": TEXT,
    f"{_VISION}.projector.scale_factor": whole(1, 16),
    f"{_VISION}.spatial_merge_size": whole(2, 2),
    f"{_VISION}.n_wa_pattern": whole(0, 128),
    f"{_VISION}.window_size": whole(1, 4096),
    **{f"{_VISION}.{name}": Bounds(("[i32]",), 0, 8192) for name in ("feature_layer", "wa_layer_indexes")},
    f"{_VISION}.image_grid_pinpoints": Bounds(("[i32]",), 1, 8192),
    f"{_VISION}.is_deepstack_layers": Bounds(("[bool]",)),
    "clip.minicpmv_version": Bounds(("i32",), 0, 1 << 20),
    "clip.minicpmv_query_num": whole(0, 1 << 20),
}

Shape = str
"""Sizes by their letters: E embedding, T 3E, M merged, H and G hidden, F feed forward, P model, N places, S
patch, 3."""


@dataclass(frozen=True)
class Layout:
    """Tensors of one kind of projector; names that end with `?` may be missing, `*` is a layer.

    `merge` is how many patches beside each other become one token where no key says it, `square` that all
    images have the projector's own size.
    """

    tensors: Mapping[str, Shape]
    merge: int
    square: bool = False


_NORMS = {f"v.blk.*.ln{number}.{part}": "E" for number in (1, 2) for part in ("weight", "bias")}
_MLP = {
    **{"v.blk.*.ffn_up.weight": "EF", "v.blk.*.ffn_up.bias?": "F"},
    **{"v.blk.*.ffn_down.weight": "FE", "v.blk.*.ffn_down.bias?": "E"},
}
_OUT = {"v.blk.*.attn_out.weight": "EE", "v.blk.*.attn_out.bias?": "E"}
_QKV = {f"v.blk.*.attn_{part}.weight": "EE" for part in "qkv"}
_BIASES = {f"v.blk.*.attn_{part}.bias": "E" for part in "qkv"}
_POST = {f"v.post_ln.{part}?": "E" for part in ("weight", "bias")}
_PATCHES = {"v.patch_embd.weight": "SS3E"}
_TWO_FRAMES = {**_PATCHES, "v.patch_embd.weight.1": "SS3E"}
_MERGER = {"mm.0.weight": "MH", "mm.0.bias": "H", "mm.2.weight": "HP", "mm.2.bias": "P"}
_SIGLIP = {
    **_PATCHES,
    **{"v.patch_embd.bias?": "E", "v.position_embd.weight": "EN"},
    **{**_NORMS, **_MLP, **_OUT, **_QKV, **_POST},
    **{f"{name}?": shape for name, shape in _BIASES.items()},
}
_DEEPSTACK = {
    **{f"v.deepstack.*.norm.{part}?": "M" for part in ("weight", "bias")},
    **{"v.deepstack.*.fc1.weight?": "MG", "v.deepstack.*.fc1.bias?": "G"},
    **{"v.deepstack.*.fc2.weight?": "GP", "v.deepstack.*.fc2.bias?": "P"},
}
LAYOUTS: Mapping[str, Layout] = {
    "qwen2vl_merger": Layout(
        {**_TWO_FRAMES, **_NORMS, **_MLP, **_OUT, **_QKV, **_BIASES, **_POST, **_MERGER}, merge=2
    ),
    "qwen3vl_merger": Layout(
        {
            **{**_TWO_FRAMES, "v.patch_embd.bias": "E", "v.position_embd.weight": "EN"},
            **{**_NORMS, **_MLP, **_OUT, "v.blk.*.attn_qkv.weight": "ET", "v.blk.*.attn_qkv.bias": "T"},
            **{**_POST, **_MERGER, **_DEEPSTACK},
        },
        merge=2,
    ),
    "idefics3": Layout({**_SIGLIP, "mm.model.fc.weight": "MP"}, merge=1, square=True),
    "gemma3": Layout(
        {**_SIGLIP, "mm.input_projection.weight": "PE", "mm.soft_emb_norm.weight": "E"}, merge=4, square=True
    ),
    "lfm2": Layout(
        {
            **{**_SIGLIP, "mm.input_norm.weight?": "M", "mm.input_norm.bias?": "M"},
            **{"mm.1.weight": "MH", "mm.1.bias": "H", "mm.2.weight": "HP", "mm.2.bias": "P"},
        },
        merge=1,
    ),
}
"""Projectors that are known here."""
_PAIRS = {"qwen2vl_merger": "qwen2vl", "qwen3vl_merger": "qwen3vl", "gemma3": "gemma3", "lfm2": "lfm2"}
_QWEN = ("qwen2vl_merger", "qwen3vl_merger")
_FLOAT_TENSORS = ("v.patch_embd.weight", "v.patch_embd.weight.1", "v.position_embd.weight")
_LAYER = re.compile(r"(?<=\.)\d+(?=\.)")


def check_projector(header: Header, model: Header) -> None:
    """Raises ModelError when a projector's header says what cannot be, or does not fit the language model."""
    check_bounds(header, _KEYS)
    kind = header.text("clip.projector_type", header.text(f"{_VISION}.projector_type", ""))
    if kind not in LAYOUTS:
        raise unknown(header, f"projector {kind!r}", LAYOUTS)
    if _PAIRS.get(kind, model.architecture) != model.architecture:
        raise wrong(
            header, f"a projector {kind!r} is not for a model {model.architecture!r} ({model.path.name})"
        )
    layout = LAYOUTS[kind]
    sizes = _sizes(header, layout)
    _check_lists(header)
    check_kinds(header)
    _check_heads(header, kind, sizes["E"])
    _check_grid(header, kind, layout)
    _check_tensors(header, layout, sizes)
    _check_fit(header, model, kind, sizes["P"])


def _sizes(header: Header, layout: Layout) -> dict[str, int]:
    """The sizes that keys decide."""
    width = header.number(f"{_VISION}.embedding_length")
    side = _merge(header, layout)
    return {
        **{"E": width, "T": 3 * width, "M": width * side * side, "3": 3},
        "S": header.number(f"{_VISION}.patch_size"),
    }


def _merge(header: Header, layout: Layout) -> int:
    return header.number(f"{_VISION}.projector.scale_factor", layout.merge)


def _check_lists(header: Header) -> None:
    for name in ("mean", "std"):
        if len(header.values[f"{_VISION}.image_{name}"]) != 3:
            raise wrong(header, f"expected three numbers for '{_VISION}.image_{name}'")
    least = header.number(f"{_VISION}.image_min_pixels", 1)
    if least > header.number(f"{_VISION}.image_max_pixels", 1 << 28):
        raise wrong(header, "the least pixels of an image are more than the most")
    for name in ("feature_layer", "wa_layer_indexes", "image_grid_pinpoints"):
        if header.values.get(f"{_VISION}.{name}"):
            raise wrong(header, f"'{_VISION}.{name}' is not known here")
    if header.values.get(f"{_VISION}.n_wa_pattern"):
        raise wrong(header, "attention in windows is not known here")


def _check_heads(header: Header, kind: str, width: int) -> None:
    heads = header.number(f"{_VISION}.attention.head_count")
    step = 4 if kind in _QWEN else 1
    if width % heads or width // heads % step:
        raise wrong(header, f"{heads} heads cannot share an embedding of {width}")
    if header.number(f"{_VISION}.attention.head_count_kv", heads) != heads:
        raise wrong(header, "expected as many key-value heads as heads")
    if header.number(f"{_VISION}.attention.head_dim", width // heads) != width // heads:
        raise wrong(header, f"expected heads of {width // heads} numbers")


def _check_grid(header: Header, kind: str, layout: Layout) -> None:
    image, patch = header.number(f"{_VISION}.image_size"), header.number(f"{_VISION}.patch_size")
    merge = _merge(header, layout)
    if kind in _QWEN and merge != layout.merge:
        raise wrong(header, f"expected {layout.merge} for '{_VISION}.projector.scale_factor'")
    if layout.square and (image % patch or image // patch % merge):
        raise wrong(header, f"patches of {patch} by {merge} do not divide an image of {image}")
    if not 1 <= image // patch <= 256:
        raise wrong(header, f"an image of {image} has no grid of patches of {patch}")
    largest = header.number(f"{_VISION}.preproc_image_size", image)
    if layout.square and not image <= largest <= 16 * image:
        raise wrong(header, f"an image of {largest} cannot be cut into tiles of {image}")


def _check_tensors(header: Header, layout: Layout, sizes: dict[str, int]) -> None:
    blocks = header.number(f"{_VISION}.block_count")
    known = {name.rstrip("?"): shape for name, shape in layout.tensors.items()}
    swapped = _swapped(header, sizes)
    for name, tensor in header.tensors.items():
        pattern = _LAYER.sub("*", name) if name.startswith(("v.blk.", "v.deepstack.")) else name
        number = _LAYER.search(name) if pattern != name else None
        if pattern not in known or (number is not None and not _is_layer(number.group(), blocks)):
            raise wrong(header, f"the tensor {name!r} is not one of such a projector")
        shape = _turned(pattern, known[pattern]) if swapped else known[pattern]
        if not _fits(tensor.shape, shape, sizes):
            raise wrong(
                header, f"the tensor {name!r} has a shape {list(tensor.shape)} that does not fit the others"
            )
        if name in _FLOAT_TENSORS and tensor.kind not in (0, 1):
            raise wrong(header, f"the tensor {name!r} is of a type ({tensor.kind}) that cannot be used there")
    _check_missing(header, layout, blocks)
    places = sizes.get("N", 1)
    grid = header.number(f"{_VISION}.image_size") // sizes["S"]
    if math.isqrt(places) ** 2 != places or (layout.square and places != grid * grid):
        raise wrong(header, f"{places} learned places are not those of a grid")


def _check_missing(header: Header, layout: Layout, blocks: int) -> None:
    needed = [name for name in layout.tensors if not name.endswith("?")]
    for pattern in needed:
        for number in range(blocks if "*" in pattern else 1):
            name = pattern.replace("*", str(number))
            if name not in header.tensors:
                raise wrong(header, f"the tensor {name!r} is missing")
    _check_whole_deepstack(header)


def _deepstack(header: Header) -> set[str]:
    """Layers whose results the language model gets, too."""
    return {name.split(".")[2] for name in header.tensors if name.startswith("v.deepstack.")}


def _check_whole_deepstack(header: Header) -> None:
    for number in _deepstack(header):
        for name in _DEEPSTACK:
            if (full := name.rstrip("?").replace("*", number)) not in header.tensors:
                raise wrong(header, f"the tensor {full!r} is missing")


def _is_layer(number: str, blocks: int) -> bool:
    return str(int(number)) == number and int(number) < blocks


def _swapped(header: Header, sizes: dict[str, int]) -> bool:
    """Whether the file calls the way up down, as old converters did; also learns the size between."""
    up = header.tensors.get("v.blk.0.ffn_up.weight")
    if up is None or len(up.shape) != 2:
        return False
    swapped = up.shape[0] != sizes["E"]
    sizes["F"] = up.shape[0] if swapped else up.shape[1]
    return swapped


def _turned(pattern: str, shape: Shape) -> Shape:
    return {"EF": "FE", "FE": "EF", "F": "E"}.get(shape, "F") if ".ffn_" in pattern else shape


def _fits(shape: tuple[int, ...], wanted: Shape, sizes: dict[str, int]) -> bool:
    """True when a shape is the wanted one; what no key decides, the first tensor that has it does."""
    if len(shape) != len(wanted):
        return False
    return all(sizes.setdefault(letter, size) == size for letter, size in zip(wanted, shape, strict=True))


def _check_fit(header: Header, model: Header, kind: str, width: int) -> None:
    own = model.architecture
    if width != model.number(f"{own}.embedding_length"):
        raise ModelError(f"{header.path}: its {width} numbers do not fit the model {model.path.name}")
    wanted = model.number(f"{own}.n_deepstack_layers", 0) if kind == "qwen3vl_merger" else 0
    if len(_deepstack(header)) != wanted:
        raise ModelError(f"{header.path}: its deepstack layers do not fit the model {model.path.name}")

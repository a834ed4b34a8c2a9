"""How large everything may be: the context, conversations at once, and the pixels of an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hailo_common.errors import ModelError
from hailo_common.images.resize import ResizeSpec
from hailo_vision.gguf.checks import layers
from hailo_vision.gguf.header import Header
from hailo_vision.gguf.model import LanguageModel
from hailo_vision.gguf.vision import ImagePart, Parts, Projector

_MB = 1024 * 1024
_USUAL_CONTEXT = 4096
_USUAL_SEQUENCES = 4
_SHARE = 4  # of the memory budget, conversations take at most a quarter
_SMALL_MB = 256  # and where nobody said how many, no more than the files of a model that is larger than this
_BESIDE_MB = 256  # scratch memory of the library, and the process itself
_BYTES = 2  # of one number of the key-value memory
_LONGEST_SIDE, _SHORTEST_SIDE, _STEP = 2048, 64, 64
_USUAL_AREA = 1024 * 1024
_RATIOS = tuple(
    ratio
    for wide, high in ((1, 1), (4, 3), (3, 2), (16, 9), (2, 1), (4, 1))
    for ratio in ((wide, high), (high, wide))
)
_TRIES = 6
_LONGEST = 4  # times the other side: an image of tiles that is longer gets a margin
_MERGE = 2


@dataclass(frozen=True)
class Room:
    """`context` tokens for each of `slots` conversations."""

    context: int
    slots: int


def choose_room(
    header: Header, files: Sequence[int], *, max_model_len: int, max_num_seqs: int, memory_bytes: int
) -> Room:
    """What fits beside the model's `files` (bytes); 0 chooses. Raises ModelError with the numbers."""
    trained = _of(header, "context_length")
    context = min(max_model_len or _USUAL_CONTEXT, trained)
    each = context * _cell_bytes(header)
    left = memory_bytes - sum(files) - _BESIDE_MB * _MB
    if left < each:
        raise ModelError(
            f"{header.path}: with {sum(files) // _MB} MiB of files and {each // _MB} MiB for a conversation "
            f"of {context} tokens the model does not fit the {memory_bytes // _MB} MiB of memory_max_mb; "
            "raise it, or lower max_model_len"
        )
    share = min(left, memory_bytes // _SHARE)
    if not max_num_seqs:
        share = min(share, max(sum(files), _SMALL_MB * _MB))
    return Room(context, max(1, min(max_num_seqs or _USUAL_SEQUENCES, share // each)))


def _cell_bytes(header: Header) -> int:
    """Bytes of the key-value memory for one token, of a header that `check_model` has passed."""
    blocks, heads = _of(header, "block_count"), _of(header, "attention.head_count")
    shared = layers(header, f"{header.architecture}.attention.head_count_kv", blocks, [heads] * blocks)
    usual = _of(header, "embedding_length") // heads
    sizes = (header.number(f"{header.architecture}.attention.{name}", usual) for name in _HEAD_SIZES)
    return sum(shared) * sum(sizes) * _BYTES


_HEAD_SIZES = ("key_length", "value_length")


def _of(header: Header, key: str) -> int:
    return header.number(f"{header.architecture}.{key}")


def tokens_of(parts: Parts) -> int:
    """How many cells of a prompt an image takes, its marks included."""
    return sum(part.count if isinstance(part, ImagePart) else len(part) for part in parts)


def open_projector(header: Header, model: LanguageModel, *, threads: int, max_tokens: int) -> Projector:
    """A projector whose images take at most `max_tokens`, whatever their shape, where it can be told so.

    One that cuts images into tiles, SmolVLM's, makes them as large as it may, and counts neither the whole
    image that it adds nor the marks between: it is opened again with that much less.
    """
    allowed = max_tokens
    for _ in range(_TRIES):
        projector = _opened(header, model, threads, allowed)
        if _is_grid(projector, _factor(header)):
            return projector
        if projector.tile or _tiles(projector) > 1:
            projector.longest = _LONGEST
        over = max(_counts(projector, _USUAL_AREA)) - max_tokens
        if over <= 0:
            return projector
        # What is left of a tile makes no tile less.
        allowed = max(1, min(allowed - over, allowed * 3 // 4))
        projector.close()
    return _opened(header, model, threads, allowed)


def _opened(header: Header, model: LanguageModel, threads: int, allowed: int) -> Projector:
    projector = Projector(header.path, model, threads=threads, max_tokens=allowed)
    projector.tile = header.number("clip.vision.image_size") if is_tiled(header) else 0
    return projector


def is_tiled(header: Header) -> bool:
    """SmolVLM's kind: tiles, and the whole image once more, each of them worked on at a tile's full size."""
    return header.text("clip.projector_type") == "idefics3"


def _tiles(projector: Projector) -> int:
    return sum(isinstance(part, ImagePart) for part in projector.parts(_LONGEST_SIDE, _LONGEST_SIDE))


def _factor(header: Header) -> int:
    """Pixels of a side of what becomes one token, where that is a square."""
    return header.number("clip.vision.patch_size") * header.number("clip.vision.spatial_merge_size", _MERGE)


def image_target(projector: Projector, header: Header, max_tokens: int) -> ResizeSpec:
    """The sizes of image that take at most `max_tokens`; raises ModelError where there is none.

    Where a token is a square of pixels, sides become multiples of it, as Qwen's processor makes them; other
    projectors cut an image by rules of their own, so the largest area is looked for.
    """
    factor = _factor(header)
    if factor and _is_grid(projector, factor):
        least = header.number("clip.vision.image_min_pixels", 8 * factor * factor)
        most = min(max_tokens * factor * factor, header.number("clip.vision.image_max_pixels", 1 << 62))
        return ResizeSpec(
            fit="smart", factor=factor, min_pixels=min(least, most), max_pixels=max(most, factor * factor)
        )
    for side in range(_LONGEST_SIDE, _SHORTEST_SIDE - 1, -_STEP):
        if max(_counts(projector, side * side)) <= max_tokens:
            return ResizeSpec(fit="smart", factor=_MERGE, min_pixels=_STEP * _STEP, max_pixels=side * side)
    raise ModelError(
        f"{projector.path}: an image takes at least {min(_counts(projector, _SHORTEST_SIDE**2))} tokens, and "
        f"max_image_tokens allows {max_tokens}; raise it"
    )


def _is_grid(projector: Projector, factor: int) -> bool:
    sizes = ((8, 8), (8, 12), (16, 8))
    found = [tokens_of(projector.parts(width * factor, height * factor)) for width, height in sizes]
    marks = found[0] - 64
    return 0 <= marks <= 4 and found == [width * height + marks for width, height in sizes]


def _counts(projector: Projector, area: int) -> list[int]:
    """Tokens of images of one area, in several aspect ratios."""
    counts = []
    for wide, high in _RATIOS:
        unit = (area / (wide * high)) ** 0.5
        counts.append(tokens_of(projector.parts(max(2, int(unit * wide)), max(2, int(unit * high)))))
    return counts

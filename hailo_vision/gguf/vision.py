"""The projector of a GGUF model: an image in, embeddings and the tokens around them out.

libmtmd knows each family's tiles, marks and sizes. It gets pixels that the decoder process made, never a
stranger's file; a picture without pixels tells how many tokens one of that size takes.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hailo_common.engine.contract import RgbImage
from hailo_common.errors import EngineFailed, ModelError
from hailo_vision.gguf.library import Library, MtmdPart
from hailo_vision.gguf.model import LanguageModel

_TEXT, _IMAGE = 0, 1  # mtmd_input_chunk_type
_GREY = 128
_TILE_AND_WHOLE = _BEFORE_AND_AFTER = 2


@dataclass(frozen=True, eq=False)
class ImagePart:
    """Tokens of an image that stand together: `count` of them take `advance` positions of the text's count.

    `places` (4, count): time, row, column and nothing, counted from the part's first, of a model with M-RoPE.
    `embeddings` (count, d) are there once the image was encoded.
    """

    count: int
    advance: int
    places: NDArray[np.int32] | None
    causal: bool
    embeddings: NDArray[np.float32] | None = None


Part = list[int] | ImagePart
Parts = tuple[Part, ...]
"""What an image becomes in a prompt: tokens of text, and parts of the image itself."""


class Projector:
    """The vision side of one model. Its methods may be called from another thread than the model's."""

    def __init__(self, path: Path, model: LanguageModel, *, threads: int, max_tokens: int) -> None:
        """`max_tokens` bounds an image whose size decides. Raises ModelError with the library's reason."""
        self.path = path
        self.longest = 0
        """How many times the other a side may be, 0 for any: a longer image gets a grey margin."""
        self.tile = 0
        """Pixels of a tile's side, where the whole image comes last as one more tile; 0 for other kinds."""
        self._width = model.width
        self._library = Library.open()
        self._mtmd = mtmd = self._library.mtmd
        params = mtmd.mtmd_context_params_default()
        params.use_gpu = params.print_timings = params.warmup = False
        params.n_threads = threads
        params.image_max_tokens = max_tokens
        params.image_min_tokens = 1
        self._handle = mtmd.mtmd_init_from_file(bytes(path), model.handle, params)
        if not self._handle:
            why = self._library.last_errors() or "it did not say why"
            raise ModelError(f"{path}: llama.cpp cannot use it: {why}")
        if not mtmd.mtmd_support_vision(self._handle):
            raise ModelError(f"{path}: expected a projector of images")
        self._mrope = bool(mtmd.mtmd_decode_use_mrope(self._handle))

    def parts(self, width: int, height: int) -> Parts:
        """What an image of this size becomes, without embeddings; costs nothing."""
        with self._chunks(*self._canvas(width, height), None) as chunks:
            return tuple(part for _, part in self._used(chunks, width, height))

    def encode(self, image: RgbImage) -> Parts:
        """The same with embeddings; raises EngineFailed. Takes seconds and cannot be stopped."""
        height, width = image.shape[:2]
        if (wide := self._canvas(width, height)) != (width, height):
            canvas = np.full((wide[1], wide[0], 3), _GREY, np.uint8)
            canvas[:height, :width] = image
            image, (width, height) = canvas, wide
        pixels = np.ascontiguousarray(image)
        with self._chunks(width, height, pixels) as chunks:
            return tuple(self._encoded(*used) for used in self._used(chunks, width, height))

    def _canvas(self, width: int, height: int) -> tuple[int, int]:
        if not self.longest:
            return width, height
        return max(width, -(-height // self.longest)), max(height, -(-width // self.longest))

    def _used(self, chunks: list[int], width: int, height: int) -> Sequence[tuple[int, Part]]:
        """Each chunk with its part, but those of tiles that show nothing which the whole image does not.

        libmtmd cuts every image, and enlarges a small one for it.
        """
        used = [(chunk, self._part(chunk)) for chunk in chunks]
        images = [place for place, (_, part) in enumerate(used) if isinstance(part, ImagePart)]
        small = max(width, height) <= self.tile or len(images) == _TILE_AND_WHOLE
        if not self.tile or not small or len(images) < _TILE_AND_WHOLE:
            return used
        around = used[images[-1] - 1 : images[-1] + 2]
        marks = [part for _, part in around if isinstance(part, list)]
        if len(marks) != _BEFORE_AND_AFTER or not marks[1] or marks[1][0] not in marks[0]:
            return used  # a vocabulary without the usual marks
        # What stands before the mark of an image parts it from the tiles.
        return [(around[0][0], marks[0][marks[0].index(marks[1][0]) :]), *around[1:]]

    def _encoded(self, chunk: int, part: Part) -> Part:
        if isinstance(part, list):
            return part
        if self._mtmd.mtmd_encode_chunk(self._handle, chunk):
            raise EngineFailed(f"llama.cpp could not encode an image: {self._library.last_errors()}")
        found = self._mtmd.mtmd_get_output_embd(self._handle)
        made = np.ctypeslib.as_array(found, (part.count, self._width)).copy()
        return ImagePart(part.count, part.advance, part.places, part.causal, made)

    def _part(self, chunk: int) -> Part:
        kind = self._mtmd.mtmd_input_chunk_get_type(chunk)
        if kind == _TEXT:
            count = ctypes.c_size_t()
            tokens = self._mtmd.mtmd_input_chunk_get_tokens_text(chunk, ctypes.byref(count))
            return list(tokens[: count.value])
        if kind != _IMAGE:
            raise ModelError(f"{self.path}: expected a projector that makes nothing but images")
        count = self._mtmd.mtmd_input_chunk_get_n_tokens(chunk)
        causal = not self._mtmd.mtmd_decode_use_non_causal(self._handle, chunk)
        return ImagePart(
            count, self._mtmd.mtmd_input_chunk_get_n_pos(chunk), self._places(chunk, count), causal
        )

    def _places(self, chunk: int, count: int) -> NDArray[np.int32] | None:
        if not self._mrope:
            return None
        listed = np.zeros((count, 4), np.int32)  # time, column, row, none
        tokens = self._mtmd.mtmd_input_chunk_get_tokens_image(chunk)
        self._mtmd.mtmd_helper_image_get_decoder_pos(tokens, 0, listed.ctypes.data)
        return np.ascontiguousarray(listed[:, [0, 2, 1, 3]].T)

    @contextmanager
    def _chunks(self, width: int, height: int, pixels: NDArray[np.uint8] | None) -> Iterator[list[int]]:
        mtmd = self._mtmd
        bitmap = mtmd.mtmd_bitmap_init(width, height, None if pixels is None else pixels.ctypes.data)
        chunks = mtmd.mtmd_input_chunks_init()
        try:
            part = MtmdPart(None, bitmap)
            parts: Any = (ctypes.c_void_p * 1)(ctypes.addressof(part))
            if mtmd.mtmd_tokenize_from_parts(self._handle, chunks, parts, 1, False):
                why = self._library.last_errors()
                raise EngineFailed(f"llama.cpp does not take an image of {width} x {height}: {why}")
            yield [mtmd.mtmd_input_chunks_get(chunks, i) for i in range(mtmd.mtmd_input_chunks_size(chunks))]
        finally:
            mtmd.mtmd_input_chunks_free(chunks)
            mtmd.mtmd_bitmap_free(bitmap)

    def close(self) -> None:
        """Release it. May be called twice."""
        handle, self._handle = self._handle, None
        if handle:
            self._mtmd.mtmd_free(handle)

"""The text encoder as a HEF of one fixed length: image features, prompt, and zeros where the prompt is short.

Source of the shapes: the community's `florence2_transformer_encoder.hef`, (1, 153, 768) to the same, of which
145 rows are the image; every size is read from the file.

Embeddings of tokens for stages on the chip, from `.npy` files: a HEF takes vectors, never token ids.

`word_embedding.npy` (vocabulary, d) has a row for each token. `caption_embedding.npy` and `vqa_embedding.npy`
hold the rows of a task's own wording, the latter of all that stands before the question. Leading sizes of 1
are allowed, as in the community's files.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hailo_common.errors import ModelError
from hailo_common.npu.network import Network
from hailo_florence.model.prompt import Wordings
from hailo_florence.model.stages import Embedding, Floats

WORDS = "word_embedding.npy"
QUESTIONS = "vqa_embedding.npy"


class WordEmbedding:
    """`word_embedding.npy`, mapped and not read: an answer needs a few rows of it."""

    def __init__(self, path: Path) -> None:
        """Raises ModelError when it is no table of numbers."""
        self.table = read_rows(path, keep=True)

    @property
    def width(self) -> int:
        """Size of a row."""
        return int(self.table.shape[1])

    def __call__(self, ids: Sequence[int]) -> Floats:
        """n token ids to (1, n, d)."""
        return self.table[np.asarray(ids, np.intp)][None]

    def close(self) -> None:
        """Release the table. May be called twice."""
        self.table = self.table[:0]


class PromptEmbedding:
    """A prompt's tokens to rows; those of a task's own wording come from its file, where there is one."""

    def __init__(self, folder: Path, words: Embedding, wordings: Wordings) -> None:
        """Raises ModelError for a file with another number of rows."""
        self._words = words
        self._known: list[tuple[list[int], Floats]] = []
        for task, ids, more in (("caption", wordings.caption, 0), ("vqa", wordings.vqa, len(wordings.end))):
            path = folder / f"{task}_embedding.npy"
            if path.is_file():
                self._known.append((list(ids), _wording(path, len(ids), more)))

    def __call__(self, ids: Sequence[int]) -> Floats:
        """n token ids of a whole prompt to (n, d)."""
        for own, rows in self._known:
            if list(ids[: len(own)]) == own:
                rest = ids[len(own) :]
                return np.concatenate([rows, self._words(rest)[0]]) if rest else rows
        own_rows: Floats = self._words(ids)[0]
        return own_rows


def _wording(path: Path, count: int, more: int) -> Floats:
    """The first `count` rows of a file, which may have `more` of them."""
    rows = read_rows(path)
    if len(rows) not in (count, count + more):
        raise ModelError(f"{path}: expected {count} rows, as the task's wording has tokens, not {len(rows)}")
    return rows[:count]


def read_rows(path: Path, *, keep: bool = False) -> Floats:
    """A file's rows (n, d); `keep` maps them instead of reading. Raises ModelError naming the file."""
    try:
        rows: NDArray[Any] = np.load(path, mmap_mode="r" if keep else None, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ModelError(f"{path}: expected an array that numpy can load") from error
    if (
        rows.dtype.kind != "f"
        or rows.ndim < 2
        or rows.size == 0
        or rows.size != rows.shape[-2] * rows.shape[-1]
    ):
        raise ModelError(f"{path}: expected rows of numbers, not {rows.dtype} of shape {rows.shape}")
    table: Floats = rows.reshape(rows.shape[-2:])
    return table


class HailoTextEncoder:
    """See `TextEncoder`. Owns the network, not the embedding."""

    def __init__(self, network: Network, embed: PromptEmbedding) -> None:
        """Raises ModelError when the HEF is another one."""
        self._network = network
        self._embed = embed
        self._input, self._output = network.input(), network.output()
        if self._input.buffer.shape != self._output.buffer.shape:
            raise ModelError(
                f"{network.path}: expected an output of the input's shape {self._input.buffer.shape}"
            )

    @property
    def length(self) -> int:
        """See `TextEncoder.length`."""
        return self._input.rows

    def encode(self, features: Floats, ids: Sequence[int]) -> Floats:
        """See `TextEncoder.encode`. Raises DeviceLost, or ValueError for more rows than there is room for."""
        image, prompt = features.reshape(features.shape[-2:]), self._embed(ids)
        used = len(image) + len(prompt)
        if used > self.length:
            raise ValueError(f"expected at most {self.length} rows, not {used}")
        self._input.store(image)
        self._input.store(prompt, len(image))
        self._input.clear(used)
        self._network.run()
        return self._output.read(used)[None]

    def close(self) -> None:
        """See `TextEncoder.close`."""
        self._network.close()

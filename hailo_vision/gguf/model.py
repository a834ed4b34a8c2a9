"""The language model of a GGUF file: its vocabulary, its key-value memory by conversation, and its steps."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hailo_common.errors import EngineFailed, ModelError
from hailo_common.inference.sampling import Logits
from hailo_vision.gguf.library import Batch, Library

_READ = 0  # LLAMA_LOAD_MODE_NONE
_NO_SPACE = 1  # llama_decode: there is no place in the key-value memory


@dataclass(frozen=True)
class Rows:
    """Rows of one step: tokens (n,) or embeddings (n, d) at `positions`, of the conversations `slots` (n,).

    `positions` is (n,), or (4, n) for embeddings of a model with M-RoPE: time, row, column, none.
    `scored` (n,) marks the rows after which scores are wanted. Rows that are not `causal` see each other.
    """

    positions: NDArray[np.int32]
    slots: NDArray[np.int32]
    scored: NDArray[np.int8]
    tokens: NDArray[np.int32] | None = None
    embeddings: NDArray[np.float32] | None = None
    causal: bool = True


class LanguageModel:
    """One loaded model with room for `slots` conversations of `context` tokens. One thread at a time."""

    def __init__(self, path: Path, *, threads: int) -> None:
        """Load the weights; raises ModelError with the library's own reason."""
        self.path = path
        self._library = Library.open()
        self._llama = llama = self._library.llama
        self._context: int | None = None
        params = llama.llama_model_default_params()
        # Mapped, the weights would be there twice: as the file has them and as the kernels want them.
        params.load_mode = _READ
        self.handle = llama.llama_model_load_from_file(bytes(path), params)
        if not self.handle:
            raise ModelError(
                f"{path}: llama.cpp cannot load it: {self._library.last_errors() or 'no reason'}"
            )
        self._threads = threads
        self.vocabulary = llama.llama_model_get_vocab(self.handle)
        self.size: int = llama.llama_vocab_n_tokens(self.vocabulary)
        """How many tokens are scored."""
        self.positions: int = llama.llama_model_n_ctx_train(self.handle)
        """Tokens of the longest conversation that the model was made for."""
        self.width: int = llama.llama_model_n_embd_inp(self.handle)
        """Numbers of one embedded token."""

    def reserve(self, *, slots: int, context: int, step: int) -> None:
        """Make room for conversations, and for steps of `step` rows; raises ModelError."""
        params = self._llama.llama_context_default_params()
        params.n_ctx = slots * context
        params.n_seq_max = slots
        params.n_batch = params.n_ubatch = step
        params.n_threads = params.n_threads_batch = self._threads
        params.n_outputs_max = slots
        self._context = self._llama.llama_init_from_model(self.handle, params)
        if not self._context:
            why = self._library.last_errors() or "it did not say why"
            raise ModelError(f"{self.path}: llama.cpp has no room for {slots} times {context} tokens: {why}")
        self._memory = self._llama.llama_get_memory(self._context)

    def tokenize(self, text: str) -> list[int]:
        """Ids of plain text: a token that only a template may write is never among them."""
        data = text.encode("utf-8", "replace")
        if not data:
            return []
        made = np.empty(len(data) + 8, np.int32)
        count = self._llama.llama_tokenize(
            self.vocabulary, data, len(data), made.ctypes.data, made.size, False, False
        )
        if count < 0:
            raise EngineFailed("The tokenizer failed on this text.")
        return [int(token) for token in made[:count]]

    def piece(self, token: int) -> bytes:
        """The bytes that a token writes; b"" for special ones."""
        room = 64
        while True:
            buffer = ctypes.create_string_buffer(room)
            length = self._llama.llama_token_to_piece(self.vocabulary, token, buffer, room, 0, False)
            if length >= 0:
                return buffer.raw[:length]
            room = -length

    def is_end(self, token: int) -> bool:
        """True for a token that ends an answer."""
        return bool(self._llama.llama_vocab_is_eog(self.vocabulary, token))

    @property
    def first_token(self) -> int | None:
        """What stands before every prompt, where something does."""
        if not self._llama.llama_vocab_get_add_bos(self.vocabulary):
            return None
        return int(self._llama.llama_vocab_bos(self.vocabulary))

    def step(self, rows: Rows) -> None:
        """Read rows; raises EngineFailed. Their scores are then there until the next step."""
        if not rows.causal:
            self._llama.llama_set_causal_attn(self._context, False)
        try:
            status = self._decode(rows)
        finally:
            if not rows.causal:
                self._llama.llama_set_causal_attn(self._context, True)
        if status == _NO_SPACE:
            raise EngineFailed("The key-value memory has no room for these tokens.")
        if status:
            raise EngineFailed(f"llama.cpp failed on a step ({status}): {self._library.last_errors()}")

    def _decode(self, rows: Rows) -> int:
        count = rows.slots.size
        slots, scored = np.ascontiguousarray(rows.slots), np.ascontiguousarray(rows.scored)
        positions = np.ascontiguousarray(rows.positions)
        values = np.ascontiguousarray(rows.embeddings if rows.tokens is None else rows.tokens)
        ones = np.ones(count, np.int32)
        pointers = slots.ctypes.data + np.arange(count, dtype=np.uint64) * slots.itemsize
        batch = Batch(
            n_tokens=count,
            token=None if rows.tokens is None else values.ctypes.data,
            embd=values.ctypes.data if rows.tokens is None else None,
            pos=positions.ctypes.data,
            n_seq_id=ones.ctypes.data,
            seq_id=pointers.ctypes.data,
            logits=scored.ctypes.data,
        )
        return int(self._llama.llama_decode(self._context, batch))

    def scores(self, row: int) -> Logits:
        """Scores (vocabulary,) after a row of the last step; a view that the next step takes away."""
        return np.ctypeslib.as_array(self._llama.llama_get_logits_ith(self._context, row), (self.size,))

    def forget(self, slot: int, position: int) -> bool:
        """Drop what a conversation holds from a position on; False when only all of it can be dropped."""
        return bool(self._llama.llama_memory_seq_rm(self._memory, slot, position, -1))

    def copy(self, source: int, target: int) -> None:
        """Give one conversation all that another holds; the target was empty."""
        self._llama.llama_memory_seq_cp(self._memory, source, target, -1, -1)

    def close(self) -> None:
        """Release memory and weights. May be called twice."""
        context, self._context = self._context, None
        handle, self.handle = self.handle, None
        if context:
            self._llama.llama_free(context)
        if handle:
            self._llama.llama_model_free(handle)

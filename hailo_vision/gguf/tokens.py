"""The vocabulary of a GGUF file, as `hailo_vision.text` wants one: which tokens only a template may write."""

from __future__ import annotations

import re
import unicodedata

from hailo_common.errors import ModelError
from hailo_vision.gguf.header import Header
from hailo_vision.gguf.model import LanguageModel
from hailo_vision.text.tokens import MarkedTokens

_CONTROL, _USER_DEFINED = 3, 4  # `tokenizer.ggml.token_type`
_MARK = re.compile(r"<[^<>\s]+>|\[[A-Z_/]+\]")
_NFC = ("qwen2", "qwen35")
"""Vocabularies whose original tokenizer composes characters first, which llama.cpp leaves out."""


class GgufTokens(MarkedTokens):
    """See `hailo_vision.text.tokens.Tokens`, whose place it takes."""

    def __init__(self, header: Header, model: LanguageModel) -> None:
        """Raises ModelError naming the file when its lists of tokens do not fit together."""
        texts = header.listed("tokenizer.ggml.tokens", str)
        kinds = header.listed("tokenizer.ggml.token_type", int)
        if not texts or len(kinds) != len(texts):
            raise ModelError(f"{header.path}: expected as many token types as tokens")
        self._model = model
        self.size = len(texts)
        """One more than the highest id."""
        self.longest = max(map(len, texts))
        """The most bytes that one token of ordinary text stands for."""
        end = header.number("tokenizer.ggml.eos_token_id", 0)
        others = [number for number, kind in enumerate(kinds) if kind in (_CONTROL, _USER_DEFINED)]
        marks = {number for number in others if _is_mark(texts[number], kinds[number])}
        self.marks = sorted({*marks, end} & set(range(len(texts))))
        """Tokens that an answer does not show, among them those that end one."""
        self._composes = header.text("tokenizer.ggml.pre", "") in _NFC
        super().__init__({texts[number]: number for number in marks})

    def _data(self, text: str) -> list[int]:
        """Ids of plain text; what spells a token of the template is taken apart after its first character."""
        ids: list[int] = []
        for piece in self.pieces(text):
            parts = (piece[:1], piece[1:]) if piece in self.added else (piece,)
            for part in parts:
                ids += self._model.tokenize(unicodedata.normalize("NFC", part) if self._composes else part)
        return ids

    def _to_bytes(self, token: int) -> bytes:
        return self._model.piece(token)


def _is_mark(text: str, kind: int) -> bool:
    return bool(text) and (kind == _CONTROL or (kind == _USER_DEFINED and bool(_MARK.fullmatch(text))))

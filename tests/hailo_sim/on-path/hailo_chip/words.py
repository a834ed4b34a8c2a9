"""The chip's tokenizer: text to ids as it stands, special tokens included, and ids to chunks of text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hailo_common.inference.tokenizer import make_tokenizer

_INCOMPLETE = "�"


class Words:
    """One model's tokenizer, with the bytes of a character that is not complete."""

    def __init__(self, source: dict[str, Any]) -> None:
        self._tokenizer = make_tokenizer(source, "tokenizer.json of the HEF")
        self._pending: list[int] = []

    def encode(self, text: str) -> list[int]:
        """Ids of a text; whatever spells a special token becomes one."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids, special tokens included."""
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=False)
        return text

    def chunk(self, token: int) -> str:
        """The text that a token completes; "" while a character lacks bytes.

        That a character is not complete shows in a replacement character. One that the model wrote itself is
        never completed, and nothing of that answer is handed out any more. Source: HailoRT's
        `HailoTokenizer::tokens_to_text`.
        """
        self._pending.append(token)
        text = self.decode(self._pending)
        if _INCOMPLETE in text:
            return ""
        self._pending.clear()
        return text

    def forget(self) -> None:
        """Drop an incomplete character."""
        self._pending.clear()

"""Tokens to text as they come, never half a character."""

from __future__ import annotations

from codecs import getincrementaldecoder

from hailo_vision.tokens import Tokens


class Detokeniser:
    """The text of one answer; special tokens write nothing, broken UTF-8 becomes U+FFFD."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._decoder = getincrementaldecoder("utf-8")("replace")

    def add(self, token: int) -> str:
        """The whole characters that `token` completes; "" while one is incomplete."""
        return self._decoder.decode(self._tokens.bytes_of(token))

    def end(self) -> str:
        """What an incomplete character at the end becomes."""
        return self._decoder.decode(b"", final=True)

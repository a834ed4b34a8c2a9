"""A model's tokens: text to ids, ids to bytes, which ones only the chat template may write, and stop strings.

What a client writes is data. The tokenizer here knows no added tokens, so `<|im_start|>` in a question is
ordinary characters; only what the template itself wrote becomes an added token (see `SpecialTokenEscaper`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hailo_common.errors import InvalidParameter, ModelError
from hailo_common.inference.model_dir import ModelDir
from hailo_common.inference.tokenizer import make_tokenizer
from hailo_common.text import overlap
from hailo_vision.protocol import ChatMessage

_FILE = "tokenizer.json"
_PRIVATE = (0xF0000, 0x10FFFD)  # planes of Unicode without characters of their own


class MarkedTokens:
    """A vocabulary in which some tokens are the template's alone; how others are made, subclasses know."""

    def __init__(self, added: Mapping[str, int]) -> None:
        """`added` are the tokens that only a template may write, by their text."""
        self.added = dict(added)
        """Added tokens by their text."""
        self.firsts = tuple(sorted({text[0] for text in self.added}))
        """The characters that they begin with."""
        longest_first = sorted(self.added, key=len, reverse=True)
        self._split = re.compile("(" + "|".join(map(re.escape, longest_first)) + ")") if self.added else None
        self._bytes: dict[int, bytes] = {}

    def pieces(self, text: str) -> list[str]:
        """The text, cut before and after what spells an added token."""
        return self._split.split(text) if self._split else [text]

    def encode(self, rendered: str, restored: Mapping[int, str]) -> list[int]:
        """Ids of a rendered prompt; `restored` gives back the characters that a `SpecialTokenEscaper` hid."""
        ids: list[int] = []
        for piece in self.pieces(rendered):
            if piece in self.added:
                ids.append(self.added[piece])
            elif piece:
                ids += self._data(piece.translate(restored))
        return ids

    def bytes_of(self, token: int) -> bytes:
        """The UTF-8 bytes that a token stands for; b"" for special and unknown ones."""
        found = self._bytes.get(token)
        if found is None:
            found = self._bytes[token] = self._to_bytes(token)
        return found

    def _data(self, text: str) -> list[int]:
        """Ids of plain text; never one of an added token."""
        raise NotImplementedError

    def _to_bytes(self, token: int) -> bytes:
        raise NotImplementedError


class Tokens(MarkedTokens):
    """The tokenizer of one model."""

    def __init__(self, folder: ModelDir) -> None:
        """Read `tokenizer.json`; raises ModelMissing, or ModelError when it is no byte-level tokenizer."""
        source = folder.json(_FILE)
        name = str(folder.path / _FILE)
        self._plain = make_tokenizer({**source, "added_tokens": []}, name)
        if not _is_byte_level(source.get("decoder")):
            raise ModelError(f"{name}: expected a byte-level tokenizer, as Qwen2-VL has")
        listed = _added(source, name)
        super().__init__({text: number for text, (number, _) in listed.items()})
        self.special = frozenset(number for number, special in listed.values() if special)
        self._texts = {number: text for text, number in self.added.items()}
        known = self._plain.get_vocab(with_added_tokens=False)
        self.size = 1 + max((*known.values(), *self._texts), default=-1)
        """One more than the highest id."""
        self.longest = max(map(len, known), default=1)
        """The most bytes that one token of ordinary text stands for."""

    def _data(self, text: str) -> list[int]:
        """Ids of plain text; never one of an added token, should the vocabulary list these too."""
        ids: list[int] = self._plain.encode(text, add_special_tokens=False).ids
        return ids if self._texts.keys().isdisjoint(ids) else [i for i in ids if i not in self._texts]

    def _to_bytes(self, token: int) -> bytes:
        if token in self.special:
            return b""
        text = self._texts.get(token) or self._plain.id_to_token(token) or ""
        try:
            return bytes(_BYTE_OF[character] for character in text)
        except KeyError:
            return text.encode()


class SpecialTokenEscaper:
    """Keeps clients' texts from ever spelling an added token, through the template and back.

    The first character of each added token is replaced by a character of no text around, wherever clients
    wrote it. Whatever the template then glues together, an added token in its output is the template's own.
    """

    def __init__(self, firsts: Iterable[str], characters: frozenset[str], texts: Iterable[str]) -> None:
        """Hides the characters `firsts`; the template writes `characters` by itself, clients wrote `texts`.

        Raises InvalidParameter when no private character is left.
        """
        used = characters.union(*texts)
        free = (code for code in range(*_PRIVATE) if chr(code) not in used)
        try:
            self.hidden = {ord(first): chr(next(free)) for first in firsts}
        except StopIteration:
            raise InvalidParameter(
                "The messages use too many private characters.", param="messages"
            ) from None
        self.restored = {ord(hidden): chr(first) for first, hidden in self.hidden.items()}

    def hide(self, text: str) -> str:
        """A client's text as the template gets it."""
        return text.translate(self.hidden)

    def hide_all(self, value: Any) -> Any:
        """A client's value as the template gets it, every text in it hidden."""
        if isinstance(value, str):
            return self.hide(value)
        if isinstance(value, Mapping):
            return {self.hide(name): self.hide_all(each) for name, each in value.items()}
        return [self.hide_all(each) for each in value] if isinstance(value, list | tuple) else value


def texts_of(messages: Sequence[ChatMessage], tools: Sequence[Mapping[str, Any]]) -> list[str]:
    """All that a client wrote of a prompt, for `SpecialTokenEscaper`."""
    texts = [text for message in messages for text in message.texts]
    return [*texts, json.dumps(tools, ensure_ascii=False)] if tools else texts


def _added(source: Mapping[str, Any], name: str) -> dict[str, tuple[int, bool]]:
    """Id and whether it is special, by text."""
    try:
        return {
            str(item["content"]): (int(item["id"]), bool(item["special"]))
            for item in source["added_tokens"]
            if item["content"]
        }
    except (KeyError, TypeError, ValueError):
        raise ModelError(f"{name}: expected a list of tokens for 'added_tokens'") from None


def _is_byte_level(decoder: Any) -> bool:
    if not isinstance(decoder, dict):
        return False
    return decoder.get("type") == "ByteLevel" or any(map(_is_byte_level, decoder.get("decoders") or ()))


def _byte_alphabet() -> dict[str, int]:
    """The characters that byte-level tokenizers write for each byte: printable ones for themselves."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}


_BYTE_OF = _byte_alphabet()


class StopStrings:
    """Lets the text of one answer through up to the first stop string.

    Text that may be the beginning of one is held back until what follows decides. When several end with the
    same piece, the one that begins first wins.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.stopped = False

    def add(self, text: str) -> str:
        """What may be shown now that `text` has come; sets `stopped` when a stop string is complete."""
        if not self._stops or self.stopped:
            return "" if self.stopped else text
        self._held += text
        found = [place for stop in self._stops if (place := self._held.find(stop)) >= 0]
        if found:
            self.stopped = True
            shown, self._held = self._held[: min(found)], ""
            return shown
        return self._release(len(self._held) - max(overlap(self._held, stop) for stop in self._stops))

    def end(self) -> str:
        """What was held back, now that nothing follows."""
        return self._release(len(self._held))

    def _release(self, length: int) -> str:
        shown, self._held = self._held[:length], self._held[length:]
        return shown

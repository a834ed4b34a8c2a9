"""Which characters of a prompt the chip's tokenizer may read as special tokens: those of the template only.

The chip takes a prompt as text, and its tokenizer turns `<|im_end|>` into the token whoever wrote it. So a
character that shows nothing is put into whatever a client wrote that begins like one, and the tokens that
come out are counted before the model sees them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from hailo_common.errors import InvalidParameter
from hailo_vision.tokens import Guard

BREAK = "\u200b"
"""A space without width: the tokenizer reads it as text of its own, and nobody sees it."""
FAMILY = tuple(
    f"<|{name}|>"
    for name in (
        *("endoftext", "im_start", "im_end", "object_ref_start", "object_ref_end", "box_start", "box_end"),
        *("quad_start", "quad_end", "vision_start", "vision_end", "vision_pad", "image_pad", "video_pad"),
    )
)
"""The special tokens of Qwen2-VL's published tokenizer."""
_OPENING, _BAR = "<", "|"


class Specials:
    """The special tokens of a model; `ids` by their texts."""

    def __init__(self, tokenize: Callable[[str], Sequence[int]], candidates: Iterable[str]) -> None:
        """Those of `candidates` that the tokenizer reads as one token are the model's."""
        self.ids: dict[str, int] = {}
        for text in dict.fromkeys(candidates):
            ids = tokenize(text)
            if len(ids) == 1:
                self.ids[text] = ids[0]
        self.firsts = tuple(sorted({_OPENING, *(text[0] for text in self.ids)}))
        """The characters that special tokens begin with."""
        longest_first = sorted(self.ids, key=len, reverse=True)
        self._found = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
        self._longest = max(map(len, self.ids), default=2)

    def written(self, rendered: str) -> Counter[int]:
        """How often the template wrote each, in a prompt in which a `Guard` hid what clients wrote."""
        return Counter(self.ids[text] for text in self._found.findall(rendered))

    def check(self, rendered: str, ids: Sequence[int]) -> None:
        """Raise InvalidParameter when `ids` has other special tokens than the template wrote."""
        special = set(self.ids.values())
        if Counter(token for token in ids if token in special) != self.written(rendered):
            raise InvalidParameter(
                "The messages spell a special token of this model in a way that it cannot read as text.",
                code="invalid_messages",
                param="messages",
            )

    def plain(self, rendered: str, guard: Guard) -> str:
        """The prompt as the chip gets it: what clients wrote restored, and never a special token."""
        hidden = re.compile("[" + "".join(guard.hidden.values()) + "]")

        def restore(found: re.Match[str]) -> str:
            first = guard.restored[ord(found[0])]
            rest = rendered[found.end() : found.end() + self._longest].translate(guard.restored)
            return first + BREAK if self._begins(first, rest) else first

        return hidden.sub(restore, rendered)

    def _begins(self, first: str, rest: str) -> bool:
        """Whether `first` and what follows it are a special token, or look like one that is not known."""
        if first == _OPENING and rest.startswith(_BAR):
            return True
        return any(text[0] == first and rest.startswith(text[1:]) for text in self.ids)

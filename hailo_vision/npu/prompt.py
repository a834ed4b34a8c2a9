"""From messages to the text that the chip reads, with its true number of tokens.

The template is rendered here and not by HailoRT: its own rendering takes clients' special tokens for real,
and leaves the end of an answer out when a conversation goes on.

Which characters of a prompt the chip's tokenizer may read as special tokens: those of the template only.

The chip takes a prompt as text, and its tokenizer turns `<|im_end|>` into the token whoever wrote it. So a
character that shows nothing is put into whatever a client wrote that begins like one, and the tokens that
come out are counted before the model sees them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hailo_common.errors import InvalidParameter, ModelError
from hailo_vision.npu.frames import Frame
from hailo_vision.protocol import ChatMessage
from hailo_vision.text.rendering import render_messages
from hailo_vision.text.template import ChatTemplate
from hailo_vision.text.tokens import SpecialTokenEscaper

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


class SpecialTokens:
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
        self._max_tokens = max(map(len, self.ids), default=2)

    def written(self, rendered: str) -> Counter[int]:
        """How often the template wrote each, in a prompt in which clients' text was hidden."""
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

    def plain(self, rendered: str, guard: SpecialTokenEscaper) -> str:
        """The prompt as the chip gets it: what clients wrote restored, and never a special token."""
        hidden = re.compile("[" + "".join(guard.hidden.values()) + "]")

        def restore(found: re.Match[str]) -> str:
            first = guard.restored[ord(found[0])]
            rest = rendered[found.end() : found.end() + self._max_tokens].translate(guard.restored)
            return first + BREAK if self._begins(first, rest) else first

        return hidden.sub(restore, rendered)

    def _begins(self, first: str, rest: str) -> bool:
        """Whether `first` and what follows it are a special token, or look like one that is not known."""
        if first == _OPENING and rest.startswith(_BAR):
            return True
        return any(text[0] == first and rest.startswith(text[1:]) for text in self.ids)


IMAGE = "<|image_pad|>"
Tokenize = Callable[[str], Sequence[int]]


@dataclass(frozen=True, eq=False)
class NpuPrompt:
    """A whole conversation: `images` in the order of their places in `text`; `length` in tokens."""

    text: str
    images: tuple[Frame, ...]
    length: int
    frame_tokens: int

    @property
    def image_tokens(self) -> int:
        """How many of the tokens are of images."""
        return len(self.images) * self.frame_tokens


class NpuPrompts:
    """Template and tokenizer of the loaded HEF; a frame takes `frame_tokens` in the context."""

    def __init__(self, template: ChatTemplate, specials: SpecialTokens, tokenize: Tokenize) -> None:
        """`tokenize` is the chip's. Raises ModelError when the tokenizer has no token for an image."""
        if IMAGE not in specials.ids:
            raise ModelError(f"the HEF's tokenizer has no token {IMAGE}: expected one of a Qwen2-VL")
        self.frame_tokens = 1
        self.specials = specials
        self._template = template
        self._tokenize = tokenize

    @property
    def tells_tools(self) -> bool:
        """See `ChatTemplate.tells_tools`."""
        return self._template.tells_tools

    def make(
        self,
        messages: Sequence[ChatMessage],
        frames: Sequence[Frame],
        tools: Sequence[Mapping[str, Any]] = (),
    ) -> NpuPrompt:
        """The prompt of a conversation; `frames` are those that the messages number, `tools` for a template
        that tells of them.

        Images come first in a message. Raises InvalidParameter when the template refuses the messages,
        leaves out one of their images, or a text cannot be kept from being a special token.
        """
        ordered = [images_first(message) for message in messages]
        made = render_messages(self._template, self.specials.firsts, ordered, tools)
        made.check_places(self.specials.written(made.text)[self.specials.ids[IMAGE]])
        text = self.specials.plain(made.text, made.guard)
        ids = self._tokenize(text)
        self.specials.check(made.text, ids)
        images = tuple(frames[number] for number in made.images)
        return NpuPrompt(text, images, self._length(ids), self.frame_tokens)

    def count(self, text: str) -> int:
        """Tokens that a text with its images takes in the context."""
        return self._length(self._tokenize(text))

    def places(self, text: str) -> int:
        """Places for images in a text."""
        return list(self._tokenize(text)).count(self.specials.ids[IMAGE])

    def _length(self, ids: Sequence[int]) -> int:
        places = list(ids).count(self.specials.ids[IMAGE])
        return len(ids) + places * (self.frame_tokens - 1)


def images_first(message: ChatMessage) -> ChatMessage:
    """The message with its images before its texts, each in their order, as the chip wants them."""
    images = [part for part in message.parts if isinstance(part, int)]
    texts = [part for part in message.parts if isinstance(part, str)]
    return replace(message, parts=(*images, *texts))

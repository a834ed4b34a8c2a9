"""From messages to the text that the chip reads, with its true number of tokens.

The template is rendered here and not by HailoRT: its own rendering takes clients' special tokens for real,
and leaves the end of an answer out when a conversation goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hailo_common.errors import InvalidParameter, ModelError
from hailo_vision.npu_frames import Frame
from hailo_vision.npu_text import Specials
from hailo_vision.request import Message
from hailo_vision.template import ChatTemplate
from hailo_vision.tokens import Guard

IMAGE = "<|image_pad|>"
Tokenize = Callable[[str], Sequence[int]]


@dataclass(frozen=True, eq=False)
class ChipPrompt:
    """A whole conversation: `pictures` in the order of their places in `text`; `length` in tokens."""

    text: str
    pictures: tuple[Frame, ...]
    length: int
    frame_tokens: int

    @property
    def image_tokens(self) -> int:
        """How many of the tokens are of pictures."""
        return len(self.pictures) * self.frame_tokens


class ChipPrompts:
    """Template and tokenizer of the loaded HEF; a frame takes `frame_tokens` in the context."""

    def __init__(self, template: ChatTemplate, specials: Specials, tokenize: Tokenize) -> None:
        """`tokenize` is the chip's. Raises ModelError when the tokenizer has no token for a picture."""
        if IMAGE not in specials.ids:
            raise ModelError(f"the HEF's tokenizer has no token {IMAGE}: expected one of a Qwen2-VL")
        self.frame_tokens = 1
        self.specials = specials
        self._template = template
        self._tokenize = tokenize

    def make(self, messages: Sequence[Message], frames: Sequence[Frame]) -> ChipPrompt:
        """The prompt of a conversation; `frames` are those that the messages number.

        Pictures come first in a message. Raises InvalidParameter when the template refuses the messages,
        leaves out one of their pictures, or a text cannot be kept from being a special token.
        """
        texts = [part for message in messages for part in message.parts if isinstance(part, str)]
        guard = Guard(self.specials.firsts, self._template.characters, texts)
        ordered = [pictures_first(message) for message in messages]
        rendered = self._template.render([message.for_template(guard.hide) for message in ordered])
        numbers = [part for message in ordered for part in message.parts if isinstance(part, int)]
        if self.specials.written(rendered)[self.specials.ids[IMAGE]] != len(numbers):
            raise InvalidParameter(
                "The model's chat template has no place for a picture in one of these messages.",
                code="invalid_messages",
                param="messages",
            )
        text = self.specials.plain(rendered, guard)
        ids = self._tokenize(text)
        self.specials.check(rendered, ids)
        pictures = tuple(frames[number] for number in numbers)
        return ChipPrompt(text, pictures, self._length(ids), self.frame_tokens)

    def count(self, text: str) -> int:
        """Tokens that a text with its pictures takes in the context."""
        return self._length(self._tokenize(text))

    def places(self, text: str) -> int:
        """Places for pictures in a text."""
        return list(self._tokenize(text)).count(self.specials.ids[IMAGE])

    def _length(self, ids: Sequence[int]) -> int:
        places = list(ids).count(self.specials.ids[IMAGE])
        return len(ids) + places * (self.frame_tokens - 1)


def pictures_first(message: Message) -> Message:
    """The message with its pictures before its texts, each in their order, as the chip wants them."""
    pictures = [part for part in message.parts if isinstance(part, int)]
    texts = [part for part in message.parts if isinstance(part, str)]
    return Message(message.role, (*pictures, *texts))

"""The context planner: whether a conversation fits, and what goes when it does not.

Works on counts of real tokens, before any model runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from hailo_common.errors import InvalidParameter
from hailo_vision.protocol import ChatMessage, VisionRequest

_SHARE = 4  # of the context, at most a quarter is freed for an answer by dropping turns
_COMPOSED = 2  # characters that normalising may make one of, for each of its bytes


class Measured(Protocol):
    """A prompt as far as planning goes."""

    @property
    def length(self) -> int:
        """All its tokens."""
        ...

    @property
    def image_tokens(self) -> int:
        """Those of images."""
        ...

    @property
    def images(self) -> Sequence[object]:
        """The images in it."""
        ...


Made = TypeVar("Made", bound=Measured)


@dataclass(frozen=True)
class FittedPrompt(Generic[Made]):
    """The prompt that is read, how many messages it leaves out, and how long the answer may be."""

    prompt: Made
    dropped: int
    max_tokens: int


class ContextWindow(Generic[Made]):
    """Fits requests into the context of one model."""

    def __init__(
        self, make: Callable[[Sequence[ChatMessage]], Made], context: int, max_token_bytes: int
    ) -> None:
        """`make` turns messages into a prompt; `context` is in tokens, of `max_token_bytes` each."""
        self._make = make
        self._context = context
        self._max_characters = _COMPOSED * context * max_token_bytes

    def plan(self, request: VisionRequest) -> FittedPrompt[Made]:
        """The plan of a request; raises InvalidParameter when not one token of an answer fits.

        An answer is cut to what the prompt leaves, never refused for being long. Under `drop_oldest` the
        oldest turns go until the answer has the room that it asks for, or a quarter of the context. System
        messages and the last turn stay.
        """
        wanted = self._context if request.max_tokens is None else request.max_tokens
        kept = request.messages
        if request.context_policy == "drop_oldest":
            kept = self._shortened(kept, self._context - min(wanted, self._context // _SHARE))
        self._check_characters(kept)
        prompt = self._make(kept)
        free = self._context - prompt.length
        if free < 1:
            raise self._too_long(prompt, wanted)
        return FittedPrompt(prompt, len(request.messages) - len(kept), min(wanted, free))

    def _shortened(self, messages: tuple[ChatMessage, ...], limit: int) -> tuple[ChatMessage, ...]:
        """Without as few of the oldest turns as `limit` tokens ask for; without all where these are too few.

        Halves the number of turns in question: dropping more never takes more tokens.
        """
        turns = oldest_turns(messages)
        low, high = 0, len(turns)
        while low < high:
            middle = (low + high) // 2
            fits = self._fits(without(messages, turns[:middle]), limit)
            low, high = (low, middle) if fits else (middle + 1, high)
        return without(messages, turns[:low])

    def _fits(self, messages: tuple[ChatMessage, ...], limit: int) -> bool:
        return _characters(messages) <= self._max_characters and self._make(messages).length <= limit

    def _check_characters(self, messages: tuple[ChatMessage, ...]) -> None:
        """Refuse text that cannot fit whatever its tokens are: to count megabytes of them takes seconds."""
        characters = _characters(messages)
        if characters > self._max_characters:
            raise InvalidParameter(
                f"The context of this model holds {self._context} tokens, but the messages have "
                f"{characters} characters, and more than {self._max_characters} never fit.",
                code="context_length_exceeded",
                param="messages",
            )

    def _too_long(self, prompt: Measured, wanted: int) -> InvalidParameter:
        images = prompt.image_tokens
        return InvalidParameter(
            f"The context of this model holds {self._context} tokens, but the messages take "
            f"{prompt.length}: {prompt.length - images} of text and {images} of "
            f"{len(prompt.images)} images. The answer may take {min(wanted, self._context)} and needs at "
            "least 1.",
            code="context_length_exceeded",
            param="messages",
        )


def oldest_turns(messages: Sequence[ChatMessage]) -> list[list[int]]:
    """Which messages may be dropped together, oldest first: a question of the user with all that answers it.

    The last turn is not among them, and no system message.
    """
    turns: list[list[int]] = []
    for number, message in enumerate(messages):
        if message.role == "user" and (not turns or messages[turns[-1][-1]].role != "user"):
            turns.append([])
        if message.role != "system":
            if not turns:
                turns.append([])
            turns[-1].append(number)
    return turns[:-1]


def without(messages: tuple[ChatMessage, ...], turns: Sequence[Sequence[int]]) -> tuple[ChatMessage, ...]:
    """The messages that are in none of `turns`."""
    gone = {number for turn in turns for number in turn}
    return tuple(message for number, message in enumerate(messages) if number not in gone)


def _characters(messages: Sequence[ChatMessage]) -> int:
    return sum(len(text) for message in messages for text in message.texts)

"""The context planner: whether a conversation fits, and what goes when it does not.

Works on counts of real tokens, before any model runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hailo_common.errors import InvalidParameter
from hailo_vision.prompt import Prompt
from hailo_vision.request import Message, VisionRequest

_SHARE = 4  # of the context, at most a quarter is freed for an answer by dropping turns


@dataclass(frozen=True)
class Plan:
    """The prompt that is read, how many messages it leaves out, and how long the answer may be."""

    prompt: Prompt
    dropped: int
    max_tokens: int


def plan(request: VisionRequest, make: Callable[[Sequence[Message]], Prompt], context: int) -> Plan:
    """Fit a request into `context` tokens; `make` turns messages into a prompt.

    An answer is cut to what the prompt leaves, never refused for being long. Under `drop_oldest` the oldest
    turns go until the answer has the room that it asks for, or a quarter of the context. System messages and
    the last turn stay. Raises InvalidParameter with the numbers when not one token of an answer fits.
    """
    wanted = context if request.max_tokens is None else request.max_tokens
    kept = request.messages
    prompt = make(kept)
    if request.policy == "drop_oldest" and _free(prompt, context) < (room := min(wanted, context // _SHARE)):
        kept, prompt = _shortened(kept, make, context - room)
    free = _free(prompt, context)
    if free < 1:
        raise _too_long(prompt, context, wanted)
    return Plan(prompt, len(request.messages) - len(kept), min(wanted, free))


def _free(prompt: Prompt, context: int) -> int:
    return context - len(prompt.ids)


def _shortened(
    messages: tuple[Message, ...], make: Callable[[Sequence[Message]], Prompt], limit: int
) -> tuple[tuple[Message, ...], Prompt]:
    """Without as few of the oldest turns as `limit` tokens ask for; without all where these are too few."""
    turns = oldest_turns(messages)
    low, high = 0, len(turns)  # fewest turns that must go, by halving: a longer cut never takes more tokens
    while low < high:
        middle = (low + high) // 2
        fits = len(make(without(messages, turns[:middle])).ids) <= limit
        low, high = (low, middle) if fits else (middle + 1, high)
    kept = without(messages, turns[:low])
    return kept, make(kept)


def oldest_turns(messages: Sequence[Message]) -> list[list[int]]:
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


def without(messages: tuple[Message, ...], turns: Sequence[Sequence[int]]) -> tuple[Message, ...]:
    """The messages that are in none of `turns`."""
    gone = {number for turn in turns for number in turn}
    return tuple(message for number, message in enumerate(messages) if number not in gone)


def _too_long(prompt: Prompt, context: int, wanted: int) -> InvalidParameter:
    pictures = prompt.image_tokens
    return InvalidParameter(
        f"The context of this model holds {context} tokens, but the messages take {len(prompt.ids)}: "
        f"{len(prompt.ids) - pictures} of text and {pictures} of {len(prompt.pictures)} pictures. "
        f"The answer may take {min(wanted, context)} and needs at least 1.",
        code="context_length_exceeded",
        param="messages",
    )

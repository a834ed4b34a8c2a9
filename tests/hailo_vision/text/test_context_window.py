"""The context planner on counted messages: what goes, what stays, and the numbers it tells."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hailo_common.errors import InvalidParameter
from hailo_vision.onnx.prompt import ImageInput, ImageSpan, Prompt
from hailo_vision.protocol import ChatMessage, Role, Sampling, VisionRequest
from hailo_vision.text.context_window import ContextWindow, FittedPrompt, oldest_turns
from tests.hailo_vision.talk import noise

IMAGE = ImageInput(noise(0), (1, 4, 6), 6)


def make(messages: Sequence[ChatMessage]) -> Prompt:
    """A prompt of 2 tokens, 2 for each message, 1 for each character and 6 for each picture."""
    texts = sum(len(part) for message in messages for part in message.parts if isinstance(part, str))
    images = sum(isinstance(part, int) for message in messages for part in message.parts)
    length = 2 + 2 * len(messages) + texts + 6 * images
    return Prompt([0] * length, (ImageSpan(0, IMAGE.grid),) * images, (IMAGE,) * images)


ROLES: dict[str, Role] = {"s": "system", "u": "user", "a": "assistant"}


def planned(
    roles: str, context: int, max_tokens: int | None = None, policy: str = "drop_oldest"
) -> FittedPrompt[Prompt]:
    """`roles`: s, u, a for messages of ten characters; capitals have a picture too."""
    messages = tuple(
        ChatMessage(ROLES[role.lower()], ("x" * 10, 0) if role.isupper() else ("x" * 10,)) for role in roles
    )
    request = VisionRequest(messages, max_tokens, Sampling(), (), None, policy)  # type: ignore[arg-type]
    return ContextWindow(make, context, max_token_bytes=50).plan(request)


@pytest.mark.parametrize(("asked", "given"), [(None, 86), (5, 5), (86, 86), (87, 86), (10**12, 86)])
@pytest.mark.parametrize("policy", ["refuse", "drop_oldest"])
def test_long_answers_are_cut_and_never_refused(asked: int | None, given: int, policy: str) -> None:
    assert planned("u", 100, asked, policy).max_tokens == given


@pytest.mark.parametrize(("context", "fits"), [(15, True), (14, False)])
def test_the_last_token_that_fits(context: int, fits: bool) -> None:
    if fits:
        assert planned("u", context, 50, "refuse").max_tokens == 1
    else:
        with pytest.raises(InvalidParameter):
            planned("u", context, 50, "refuse")


def test_the_refusal_tells_the_numbers() -> None:
    with pytest.raises(InvalidParameter) as caught:
        planned("sUau", 56, 9, "refuse")
    assert (caught.value.code, caught.value.param) == ("context_length_exceeded", "messages")
    assert caught.value.message == (
        "The context of this model holds 56 tokens, but the messages take 56: 50 of text and 6 of 1 "
        "images. The answer may take 9 and needs at least 1."
    )


@pytest.mark.parametrize(
    ("roles", "context", "dropped"),
    [
        ("suauau", 200, 0),
        ("suauau", 98, 0),  # 74 tokens and a quarter of the context
        ("suauau", 97, 2),
        ("suauau", 66, 2),
        ("suauau", 65, 4),
        ("sUauau", 98, 2),
        ("auau", 60, 1),  # an answer without its question goes first
        ("uuau", 60, 3),  # two questions in a row are one turn
        ("usau", 50, 2),  # system messages stay wherever they are
    ],
)
def test_oldest_turns_go_whole(roles: str, context: int, dropped: int) -> None:
    assert planned(roles, context).dropped == dropped


def test_what_cannot_be_dropped_is_refused() -> None:
    with pytest.raises(InvalidParameter, match="take 38"):
        planned("suausu", 38)


def test_a_short_answer_needs_little_room() -> None:
    assert planned("uau", 40, 2).dropped == 0
    assert planned("uau", 39, 2).dropped == 2


@given(st.text("suaSUA", min_size=1, max_size=12), st.integers(10, 200))
def test_whatever_happens_system_and_last_turn_stay(roles: str, context: int) -> None:
    messages = [ChatMessage(ROLES[role.lower()], ()) for role in roles]
    gone = [number for turn in oldest_turns(messages) for number in turn]
    assert gone == sorted(set(gone))
    assert not any(messages[number].role == "system" for number in gone)
    users = [number for number, message in enumerate(messages) if message.role == "user"]
    assert not users or all(number < users[-1] for number in gone)
    try:
        made = planned(roles, context)
    except InvalidParameter:
        return
    assert made.dropped <= len(gone)
    assert 1 <= made.max_tokens <= context - len(made.prompt.ids)


def test_megabytes_are_refused_or_dropped_without_being_read() -> None:
    def unread(messages: Sequence[ChatMessage]) -> Prompt:
        assert len(messages) == 1
        return make(messages)

    messages = tuple(ChatMessage("user", ("x" * size,)) for size in (10_001, 10))
    huge = (messages[0], ChatMessage("assistant", ("y",)), messages[1])
    planner = ContextWindow(unread, 100, max_token_bytes=50)
    with pytest.raises(
        InvalidParameter, match="100 tokens, but the messages have 10012 characters"
    ) as caught:
        planner.plan(VisionRequest(huge, None, Sampling(), (), None, "refuse"))
    assert caught.value.code == "context_length_exceeded"
    made = planner.plan(VisionRequest(huge, None, Sampling(), (), None, "drop_oldest"))
    assert (made.dropped, len(made.prompt.ids)) == (2, 14)

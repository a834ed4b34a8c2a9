"""The official Python client, sync, async, streaming and with its structured output helper."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from tests.clients.conftest import CIRCLE, NOT_IN_DEBIAN, PAIR, ask
from tests.hailo_florence.api.running import Running

pytest.importorskip("openai", reason=NOT_IN_DEBIAN)

import openai
from openai import AsyncOpenAI, OpenAI

pytestmark = pytest.mark.filterwarnings("ignore")  # of libraries that are not ours
MODEL = "qwen2-vl-2b-instruct"


class Seen(BaseModel):
    """What the structured output helper asks for."""

    color: Literal["red", "green", "blue"]
    shape: Literal["circle", "square", "star"]


@pytest.fixture(scope="module")
def client(base_url: str) -> Iterator[OpenAI]:
    """A client that checks every answer against its own types."""
    with OpenAI(base_url=base_url, api_key="any", _strict_response_validation=True, max_retries=0) as made:
        yield made


def _text(client: OpenAI, messages: Any, **options: Any) -> str:
    answer = client.chat.completions.create(model=MODEL, messages=messages, temperature=0, **options)
    return answer.choices[0].message.content or ""


def test_a_question_and_a_follow_up_get_true_answers(client: OpenAI) -> None:
    messages = ask("What color is the circle?", CIRCLE)
    first = _text(client, messages)
    assert first == "red"
    messages += [
        {"role": "assistant", "content": first},
        {"role": "user", "content": "How many objects are there?"},
    ]
    assert _text(client, messages) == "1"


def test_a_description_names_what_is_there(client: OpenAI) -> None:
    assert _text(client, ask("Describe the image.", PAIR)) == "A red circle to the left of a blue square."


def test_two_images_are_compared(client: OpenAI) -> None:
    assert _text(client, ask("Which image has more objects?", CIRCLE, PAIR)) == "The second image."


def test_usage_counts_image_and_words(client: OpenAI) -> None:
    answer = client.chat.completions.create(model=MODEL, messages=ask("What color is the circle?", CIRCLE))
    usage = answer.usage
    assert usage is not None
    assert usage.prompt_tokens > 48
    assert usage.completion_tokens == 2
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert answer.choices[0].finish_reason == "stop"


def test_streaming_says_the_same_in_pieces(client: OpenAI) -> None:
    messages = ask("Describe the image.", PAIR)
    stream = client.chat.completions.create(
        model=MODEL, messages=messages, temperature=0, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert len({chunk.id for chunk in chunks}) == 1
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(pieces) == _text(client, messages)
    assert sum(bool(piece) for piece in pieces) > 3
    assert chunks[-1].usage is not None
    assert not chunks[-1].choices
    assert chunks[-2].choices[0].finish_reason == "stop"


def test_a_stream_left_early_frees_the_engine(client: OpenAI) -> None:
    with client.chat.completions.create(
        model=MODEL, messages=ask("Describe the image.", PAIR), stream=True
    ) as stream:
        next(iter(stream))
    assert _text(client, ask("What color is the circle?", CIRCLE)) == "red"


def test_many_async_clients_get_their_own_answers(base_url: str) -> None:
    async def one(client: AsyncOpenAI, image: str) -> str:
        answer = await client.chat.completions.create(
            model=MODEL, messages=ask("How many objects are there?", image), temperature=0
        )
        return answer.choices[0].message.content or ""

    async def all_of_them() -> list[str]:
        async with AsyncOpenAI(base_url=base_url, api_key="any") as client:
            return await asyncio.gather(*(one(client, image) for image in (CIRCLE, PAIR) * 3))

    assert asyncio.run(all_of_them()) == ["1", "2"] * 3


def test_structured_output_is_true_and_of_the_asked_type(client: OpenAI) -> None:
    answer = client.chat.completions.parse(
        model=MODEL,
        messages=ask("Answer as JSON with the keys color and shape.", CIRCLE),
        response_format=Seen,
        temperature=0,
    )
    assert answer.choices[0].message.parsed == Seen(color="red", shape="circle")


def test_models_are_listed_with_their_limits(client: OpenAI) -> None:
    listed = client.models.list().data
    assert listed
    found = client.models.retrieve(listed[0].id)
    assert found.id == listed[0].id
    assert found.model_extra is not None
    assert found.model_extra["max_model_len"] == 2048


def test_errors_arrive_as_the_clients_own_kinds(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(model="gpt-nothing", messages=ask("Hi"))
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as bad:
        client.chat.completions.create(model=MODEL, messages=ask("Hi"), n=2)
    assert bad.value.param == "n"
    with pytest.raises(openai.BadRequestError) as remote:
        client.chat.completions.create(model=MODEL, messages=ask("Hi", "https://192.0.2.1/a.png"))
    assert remote.value.param == "messages[0].content[0].image_url.url"


def test_text_alone_is_answered(client: OpenAI, vision: Running) -> None:
    assert "demo model" in _text(client, ask("Hi"), max_tokens=4096)
    assert "Traceback" not in vision.log

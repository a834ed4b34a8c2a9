"""What the chip remembers: conversations that go on, and nothing of anybody else's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hailo_vision.onnx.engine import OnnxVisionEngine
from tests.hailo_vision.npu.serving import (
    CHAT,
    DESCRIBE,
    Npu,
    body,
    content,
    frame,
    scene,
    serving,
    truth,
    user,
)
from tests.hailo_vision.talk import ask, say
from tests.npu import VERSIONS, Machine

CLEAR, GENERATE = "VLM.clear_context", "VLM.generate"


@pytest.fixture(scope="module", params=VERSIONS)
def logged(
    request: pytest.FixtureRequest, model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Npu]:
    """A service whose machine writes every call down."""
    folder = tmp_path_factory.mktemp(f"logged-{request.param}")
    with (
        Machine(folder, version=request.param, log_calls=True) as machine,
        serving(machine, model) as running,
    ):
        yield running


def answered(text: str) -> dict[str, Any]:
    """What the model said."""
    return {"role": "assistant", "content": text}


def cached(value: dict[str, Any]) -> int:
    """Tokens that had been read before."""
    return int(value["usage"]["prompt_tokens_details"]["cached_tokens"])


def test_a_conversation_goes_on_where_it_ended(logged: Npu, cpu: OnnxVisionEngine) -> None:
    image, other = scene(30), scene(31)
    messages: list[Any] = [user(image, DESCRIBE)]
    spoken: list[Any] = [say("user", 0, DESCRIBE)]
    images = [frame(image), frame(other)]
    asked = ("How many objects are there?", "What color is the circle?", "And this one?")
    for number, next_question in enumerate((*asked, "Are you sure?")):
        before = len(logged.machine.calls())
        value = logged.post(messages).json()
        said = value["choices"][0]["message"]["content"]
        wanted = ask(cpu, {"messages": spoken, "max_tokens": 64, "temperature": 0}, *images)
        assert said == wanted["text"]
        assert value["usage"]["prompt_tokens"] == wanted["prompt_tokens"]
        assert value["usage"]["completion_tokens"] == wanted["completion_tokens"]
        calls = logged.machine.calls()[before:]
        assert (CLEAR in calls, cached(value) > 64) == ((True, False) if number == 0 else (False, True))
        extra = [other] if next_question == "And this one?" else []
        messages += [answered(said), user(*extra, next_question)]
        spoken += [say("assistant", said), say("user", *([1] if extra else []), next_question)]


@pytest.mark.parametrize(
    "change",
    ["another picture", "another answer", "another question", "another system message", "the same again"],
)
def test_anything_else_begins_anew(logged: Npu, cpu: OnnxVisionEngine, change: str) -> None:
    first = [user(scene(40), DESCRIBE)]
    said = content(logged.post(first))
    image = scene(41) if change == "another picture" else scene(40)
    text = "What is in it?" if change == "another question" else DESCRIBE
    reply = f"{said} " if change == "another answer" else said
    messages: list[Any] = [user(image, text), answered(reply), user("Are you sure?")]
    spoken = [say("user", 0, text), say("assistant", reply), say("user", "Are you sure?")]
    if change == "another system message":
        messages, spoken = [{"role": "system", "content": "Hi"}, *messages], [say("system", "Hi"), *spoken]
    if change == "the same again":
        messages, spoken = first, [say("user", 0, DESCRIBE)]
    before = len(logged.machine.calls())
    value = logged.post(messages).json()
    wanted = ask(cpu, {"messages": spoken, "max_tokens": 64, "temperature": 0}, frame(image))
    assert value["choices"][0]["message"]["content"] == wanted["text"]
    assert value["usage"]["prompt_tokens"] == wanted["prompt_tokens"]
    assert (cached(value), CLEAR in logged.machine.calls()[before:]) == (0, True)


@pytest.mark.parametrize("cut", [{"max_tokens": 3}, {"stop": " "}], ids=str)
def test_an_answer_that_was_cut_is_never_gone_on_from(
    logged: Npu, cpu: OnnxVisionEngine, cut: dict[str, Any]
) -> None:
    said = content(logged.describe(42, **cut))
    value = logged.post([user(scene(42), DESCRIBE), answered(said), user("Are you sure?")]).json()
    spoken = [say("user", 0, DESCRIBE), say("assistant", said), say("user", "Are you sure?")]
    wanted = ask(cpu, {"messages": spoken, "max_tokens": 64, "temperature": 0}, frame(scene(42)))
    assert (value["choices"][0]["message"]["content"], cached(value)) == (wanted["text"], 0)


def test_a_penalty_never_counts_what_was_said_before(logged: Npu) -> None:
    said = content(logged.describe(43))
    messages = [user(scene(43), DESCRIBE), answered(said), user(DESCRIBE)]
    value = logged.post(messages, repetition_penalty=1.5).json()
    assert cached(value) == 0
    content(logged.describe(20))
    assert content(logged.post(messages, repetition_penalty=1.5)) == value["choices"][0]["message"]["content"]


def test_clients_who_take_turns_get_their_own_images(logged: Npu, cpu: OnnxVisionEngine) -> None:
    for number in (25, 26, 25, 27, 26):
        assert content(logged.describe(number)) == truth(cpu, number)
        assert (
            content(logged.post([user("Hi")]))
            == ask(cpu, {"messages": [say("user", "Hi")], "max_tokens": 64, "temperature": 0})["text"]
        )


def test_images_of_other_shapes_keep_their_own(model: Path, tmp_path: Path, cpu: OnnxVisionEngine) -> None:
    """A wide picture: bars on two sides, or its edges cut off, as `frame_fit` says."""
    wide = Image.new("RGB", (256, 128), (255, 255, 255))
    wide.paste(scene(33), (64, 0))
    with Machine(tmp_path) as machine, serving(machine, model, frame_fit="crop") as running:
        assert content(running.post([user(wide, DESCRIBE)])) == truth(cpu, 33)
        image = running.service.client.get("/health").json()["limits"]
        assert image["image_tokens_max"] == 64


def test_a_conversation_goes_on_for_its_owner_alone(model: Path, tmp_path: Path) -> None:
    """Threat D1: on the chip, too, nothing tells a stranger that somebody spoke of this before."""
    keys = ("key-of-the-victim", "key-of-a-stranger")
    first = [user(scene(40), DESCRIBE)]
    with Machine(tmp_path) as machine, serving(machine, model, api_keys=keys) as running:

        def ask_as(key: str, messages: list[Any]) -> dict[str, Any]:
            headers = {"Authorization": f"Bearer {key}"}
            value = running.service.client.post(CHAT, json=body(messages), headers=headers).json()
            return dict(value)

        def again(said: str) -> list[Any]:
            return [*first, answered(said), user("And now?")]

        said = ask_as(keys[0], first)["choices"][0]["message"]["content"]
        assert cached(ask_as(keys[0], again(said))) > 0
        assert ask_as(keys[0], first)["choices"][0]["message"]["content"] == said
        stranger = ask_as(keys[1], again(said))
        assert cached(stranger) == stranger["performance"]["cached_pictures"] == 0

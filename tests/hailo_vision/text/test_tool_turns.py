"""Calls of tools and their results reach a model in its template's own form, or as text."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from hailo_common.inference.model_dir import ModelDir
from hailo_vision.onnx.prompt import ImageInput, Prompts
from hailo_vision.protocol import Call, ChatMessage, ToolResult, VisionRequest
from hailo_vision.text.rendering import render_messages
from hailo_vision.text.template import ChatTemplate
from hailo_vision.text.tokens import Tokens
from hailo_vision.text.tool_turns import worded
from tests.hailo_vision.conversations import FOLDERS
from tests.hailo_vision.talk import noise
from tests.hailo_vision.tool_talk import TEMPLATE, TOOL, for_transformers, talk_with_tools

FOLDER = FOLDERS["random-a"]
ASKED = ChatMessage("user", ("On?",))
CALLS = (Call("lamp", {"on": True}, "call_1"), Call("bell", {}, "call_2"))
CALLED = ChatMessage("assistant", ("Well.",), CALLS)
DONE = (
    ChatMessage("user", ("rung",), result=ToolResult("", "call_2")),
    ChatMessage("user", ("lit", 0), result=ToolResult("", "call_1")),
)
TALK = (ASKED, CALLED, *DONE, ChatMessage("user", ("Sure?",)))
OWN = """<|im_start|>user
On?<|im_end|>
<|im_start|>assistant
Well.
<tool_call>
{"name": "lamp", "arguments": {"on": true}}
</tool_call>
<tool_call>
{"name": "bell", "arguments": {}}
</tool_call><|im_end|>
<|im_start|>user
<tool_response name=bell id=000000001>
rung
</tool_response>
<tool_response name=lamp id=000000000>
lit<|vision_start|><|image_pad|><|vision_end|>
</tool_response><|im_end|>
<|im_start|>user
Sure?<|im_end|>
<|im_start|>assistant
"""
_NO_PLACE = TEMPLATE.replace("message.tool_calls or []", "[]")
_OTHER_FORM = TEMPLATE.replace("<tool_call>", "[CALL]")
_NO_RESULTS = TEMPLATE.replace("parts(message.content) }}{{- '\\n</tool_response>'", "'</tool_response>'")


def rendered(source: str, messages: tuple[ChatMessage, ...], first: str = "<") -> str:
    """A prompt with the clients' characters back in it."""
    made = render_messages(ChatTemplate(source, "template"), first, messages, [])
    return made.text.translate(made.guard.restored)


def test_a_template_that_has_places_gets_them_filled() -> None:
    assert rendered(TEMPLATE, TALK) == OWN
    made = render_messages(ChatTemplate(TEMPLATE, "template"), "<", TALK, [TOOL])
    assert made.images == [0]
    assert made.text.startswith("<|im_start|>system\nAnswer")


def test_a_template_that_takes_texts_only_gets_them_filled_too() -> None:
    source = TEMPLATE.replace("{%- for part in content %}", "{{- content + '' }}{%- for part in [] %}")

    def shape(message: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**message, "content": "".join(part.get("text", "<image>") for part in message["content"])}

    made = render_messages(ChatTemplate(source, "template"), "<", TALK, [], shape)
    assert made.text == OWN.replace("<|vision_start|><|image_pad|><|vision_end|>", "<image>")
    # In the other shape it has no place, and refuses what it is given.
    assert not ChatTemplate(source, "template").takes_calls(dict)


@pytest.mark.parametrize("source", [_NO_PLACE, _OTHER_FORM, _NO_RESULTS], ids=["calls", "form", "results"])
def test_others_get_text_in_the_form_that_is_read_here(source: str) -> None:
    text = rendered(source, TALK)
    assert '\n<tool_call>\n{"name": "lamp", "arguments": {"on": true}}\n</tool_call>' in text
    assert "Result of bell:\nrung\n\nResult of lamp:\nlit" in text
    # One message of the user, as templates want it that let roles take turns.
    assert text.count("<|im_start|>user") == 2


def test_what_the_template_refuses_in_its_own_form_is_text() -> None:
    refusing = TEMPLATE.replace(
        "{{- call.function.arguments }}", "{{- raise_exception('Arguments must be an object.') }}"
    )
    said = ChatMessage("assistant", (), (Call("lamp", "no {JSON"),))
    assert '"arguments": no {JSON}' in rendered(TEMPLATE, (ASKED, said, ASKED))
    assert '"arguments": "no {JSON"}' in rendered(refusing, (ASKED, said, ASKED))
    assert "<tool_response" in rendered(refusing, TALK)


@pytest.mark.parametrize(
    ("calls", "results", "names"),
    [
        ([("a", "1"), ("b", "2")], [("", "2"), ("", "1")], ["b", "a"]),
        ([("a", ""), ("b", "")], [("b", ""), ("a", "")], ["b", "a"]),
        ([("a", ""), ("b", "")], [("", ""), ("", "")], ["a", "b"]),
        ([("a", "1"), ("a", "2"), ("b", "3")], [("", "9"), ("a", ""), ("", "3")], ["a", "a", "b"]),
        ([("a", "1")], [("", "1"), ("c", "1"), ("", "")], ["a", "c", "the tool"]),
        ([], [("", "")], ["the tool"]),
    ],
)
def test_a_result_belongs_to_its_call(
    calls: list[tuple[str, str]], results: list[tuple[str, str]], names: list[str]
) -> None:
    called = ChatMessage("assistant", (), tuple(Call(name, {}, number) for name, number in calls))
    given = [ChatMessage("user", ("x",), result=ToolResult(name, number)) for name, number in results]
    (*_, told) = worded([ASKED, called, *given] if calls else [ASKED, *given])
    text = "".join(str(part) for part in told.parts)
    assert [line[10:-1] for line in text.splitlines() if line.startswith("Result of ")] == names


def test_a_request_with_tools_crosses_to_the_engine() -> None:
    for seed in range(20):
        request = VisionRequest(messages=talk_with_tools(seed))
        assert VisionRequest.from_json(request.to_json()) == request


@pytest.mark.parametrize("seed", range(30))
def test_nothing_that_a_client_wrote_is_a_special_token(seed: int) -> None:
    """In names, arguments, keys, results and declarations; and what is rendered is what was meant."""
    messages, template, tokens = (
        talk_with_tools(seed),
        ChatTemplate(TEMPLATE, "template"),
        Tokens(ModelDir(FOLDER)),
    )
    made = render_messages(template, tokens.firsts, messages, [TOOL])
    ids = tokens.encode(made.text, made.guard.restored)
    marks = [tokens.added[mark] for mark in ("<|im_start|>", "<|im_end|>")]
    whole = template.render(for_transformers(messages), [TOOL])
    assert made.text.translate(made.guard.restored) == whole
    begun = sum(
        message["role"] != "tool" or before["role"] != "tool"
        for before, message in zip(
            [{"role": ""}, *for_transformers(messages)], for_transformers(messages), strict=False
        )
    )
    assert [ids.count(mark) for mark in marks] == [begun + 2, begun + 1]


def test_the_prompt_of_an_engine_has_that_form(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "model")
    (tmp_path / "model/chat_template.jinja").write_text(TEMPLATE)
    tokens = Tokens(ModelDir(FOLDER))
    prompts = Prompts(ModelDir(tmp_path / "model"), tokens.added["<|image_pad|>"])
    assert prompts.tells_tools
    assert prompts.make(TALK, [ImageInput(noise(1), (1, 2, 2), 1)]).ids == tokens.encode(OWN, {})

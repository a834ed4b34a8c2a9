"""Chat templates: where they are found, what they may do, and what becomes of their errors."""

from __future__ import annotations

import json
import resource
from pathlib import Path
from typing import Any

import pytest

from hailo_common.errors import InvalidParameter, ModelError, ModelMissing
from hailo_common.inference.model_dir import ModelDir
from hailo_vision.text.template import ChatTemplate, read_template
from hailo_vision.text.tokens import SpecialTokenEscaper, texts_of
from tests.hailo_vision.talk import say

TALK = [say("user", "Hi")]


def template(folder: Path, source: str, **tokens: Any) -> ChatTemplate:
    (folder / "chat_template.jinja").write_text(source)
    (folder / "tokenizer_config.json").write_text(json.dumps(tokens))
    return read_template(ModelDir(folder))


def test_that_of_qwen(folder: Path) -> None:
    made = read_template(ModelDir(folder)).render([say("system", "Be short."), say("user", 0, "What?")])
    assert made == (
        "<|im_start|>system\nBe short.<|im_end|>\n"
        "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>What?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("chat_template.jinja", "{{ messages[0].role }}"),
        ("chat_template.json", json.dumps({"chat_template": "{{ messages[0].role }}"})),
        ("tokenizer_config.json", json.dumps({"chat_template": "{{ messages[0].role }}"})),
        (
            "tokenizer_config.json",
            json.dumps({"chat_template": [{"name": "default", "template": "{{ messages[0].role }}"}]}),
        ),
    ],
)
def test_places(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    assert read_template(ModelDir(tmp_path)).render(TALK) == "user"


def test_as_transformers_renders(tmp_path: Path) -> None:
    source = (
        "{% for m in messages %}\n  {% if loop.index > 1 %}\n{% break %}{% endif %}\n"
        "{% generation %}{{ bos_token }}{{ m | tojson }}{% endgeneration %}\n{% endfor %}"
    )
    made = template(tmp_path, source, bos_token={"content": "<s>"}).render([say("user", "<é>"), *TALK])
    assert made == '<s>{"role": "user", "content": [{"type": "text", "text": "<é>"}]}'


def test_time_is_offered(tmp_path: Path) -> None:
    assert len(template(tmp_path, "{{ strftime_now('%Y') }}").render(TALK)) == 4


@pytest.mark.parametrize(
    "source",
    [
        "{{ raise_exception('Only user messages, please.') }}",
        "{{ messages[7].content }}",
        "{{ messages[0].content + 5 }}",
        "{{ messages.append(1) }}",
        "{{ messages[0].__class__.__mro__ }}",
        "{{ 1 / 0 }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    ],
)
def test_errors_while_rendering_are_the_requests(tmp_path: Path, source: str) -> None:
    with pytest.raises(InvalidParameter, match="chat template") as caught:
        template(tmp_path, source).render(TALK)
    assert caught.value.param == "messages"
    assert "please" not in caught.value.message


def test_users_text_is_never_a_template(tmp_path: Path) -> None:
    made = template(tmp_path, "{{ messages[0].content[0].text }}")
    assert made.render([say("user", "{{ 7 * 7 }}{% raw %}")]) == "{{ 7 * 7 }}{% raw %}"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("chat_template.jinja", "{% if %}"),
        ("chat_template.json", '{"chat_template": 5}'),
        ("chat_template.json", "{}"),
        ("chat_template.json", "[]"),
        ("tokenizer_config.json", '{"chat_template": 5}'),
    ],
)
def test_broken(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(ModelError, match=f"{name}: expected".replace(".", r"\.")):
        read_template(ModelDir(tmp_path))


def test_none(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match=r"chat_template\.json"):
        read_template(ModelDir(tmp_path))


_GREEDY = {
    "a product": "{{ 'a' * 1500000000 }}",
    "doubling": "{% set ns = namespace(x='aaaaaaaa') %}"
    "{% for i in range(31) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
    "a width": "{{ 'a'.ljust(1500000000) }}",
    "a format": "{{ '%1500000000s' | format('a') }}",
    "a list": "{{ ([1] * 500000000) | length }}",
    "centred": "{{ 'a' | center(1500000000) }}",
    "a power": "{{ (10 ** 30000000) % 7 }}",
    "a precision": "{{ 1 | round(30000000, 'ceil') }}",
    "loops": "{% for i in range(99999) %}" * 3 + "{% endfor %}" * 3,
    "a filter": "{% for i in range(99999) %}{{ (range(99999) | list) | sort | length }}{% endfor %}",
}


@pytest.mark.parametrize("source", _GREEDY.values(), ids=_GREEDY)
def test_a_template_takes_neither_all_memory_nor_all_time(tmp_path: Path, source: str) -> None:
    """Threat E3: before there were bounds the first one made a text of 1.5 GB."""
    made = template(tmp_path, source)
    before = resource.getrusage(resource.RUSAGE_SELF)
    with pytest.raises(InvalidParameter, match="does not take these messages"):
        made.render(TALK)
    after = resource.getrusage(resource.RUSAGE_SELF)
    assert after.ru_utime - before.ru_utime < 5
    assert after.ru_maxrss - before.ru_maxrss < 200_000
    assert template(tmp_path, "{{ messages[0].role }}").render(TALK) == "user"


@pytest.mark.parametrize(
    "source", ["{{ " + "(" * 5000 + ")" * 5000 + " }}", "x" * ((1 << 20) + 1), "{{ " * 50_000]
)
def test_a_template_that_is_none(tmp_path: Path, source: str) -> None:
    with pytest.raises(ModelError, match=r"chat_template\.jinja: expected"):
        template(tmp_path, source)


_TELLS = (
    "{% if tools %}{% for tool in tools %}{{ tool | tojson }}{% endfor %} <tool_call>{% endif %}"
    "{% for m in messages %}{{ m.role }}: {% for p in m.content %}{{ p.text }}{% endfor %}{% endfor %}"
)


@pytest.mark.parametrize(
    ("source", "tells"),
    [
        (_TELLS, True),
        (_TELLS.replace("<tool_call>", "[TOOL_CALLS]"), False),
        (_TELLS.replace("{% if tools %}", "{% if false %}"), False),
        (_TELLS.replace("{% for p in m.content %}{{ p.text }}{% endfor %}", "{{ m.content + '' }}"), True),
        ("{{ raise_exception('no') }}", False),
    ],
)
def test_whether_a_template_tells_of_tools_is_tried(source: str, tells: bool) -> None:
    assert ChatTemplate(source, "template").tells_tools is tells


def test_a_special_token_in_a_tool_stays_text() -> None:
    """What a client writes into a description is data there, too."""
    tool = {"type": "function", "function": {"name": "a", "description": "x<|im_end|>y", "parameters": {}}}
    template = ChatTemplate(_TELLS, "template")
    guard = SpecialTokenEscaper("<", template.characters, texts_of([], [tool]))
    rendered = template.render([], guard.hide_all([tool]))
    assert "<|im_end|>" not in rendered
    assert "x<|im_end|>y" in rendered.translate(guard.restored)

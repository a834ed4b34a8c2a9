"""The Python of docs/clients.md, as it stands there but for the host and the image."""

from __future__ import annotations

import ast
import asyncio
import base64
import re
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import NOT_IN_DEBIAN, RED, drawn
from tests.hailo_florence.api.running import Running

PAGE = (Path(__file__).parents[2] / "docs/clients.md").read_text(encoding="utf-8")
SECTIONS = dict(part.split("\n", 1) for part in PAGE.split("\n## ")[1:])
FIRST = "OpenAI's clients"
"""Others ask what is asked there."""
FILE = drawn(("circle", RED, 240))
pytestmark = pytest.mark.filterwarnings("ignore")  # of libraries that are not ours


def is_python(block: str) -> bool:
    try:
        ast.parse(block)
    except SyntaxError:
        return False
    return not block.startswith(("{", "curl", "hailo"))


def recipes(section: str) -> list[str]:
    """Its blocks of Python; those that nothing but blank lines part are one."""
    found = re.findall(r"(?m)((?:^(?:    .*)?\n)+)", SECTIONS[section])
    blocks = [re.sub("(?m)^    ", "", block).strip() for block in found if block.strip()]
    return [block for block in blocks if is_python(block)]


WITH_PYTHON = [name for name in SECTIONS if recipes(name)]


def run(block: str, port: int, known: dict[str, Any]) -> None:
    image = base64.b64encode(FILE).decode()
    block = block.replace("HOST:11435", f"127.0.0.1:{port}").replace("...", image)
    code = compile(block, "docs/clients.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    waiting: Coroutine[Any, Any, Any] | None = eval(code, known)
    if waiting is not None:
        asyncio.run(waiting)


@pytest.mark.parametrize("section", WITH_PYTHON)
def test_each_recipe_says_what_is_in_the_image(
    section: str,
    vision: Running,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_AGENTS_DISABLE_TRACING", "1")
    (tmp_path / "photo.png").write_bytes(FILE)
    known: dict[str, Any] = {}
    if section != FIRST:
        need(recipes(FIRST))
        for block in recipes(FIRST):
            run(block, vision.port, known)
    need(recipes(section))
    for block in recipes(section):
        capsys.readouterr()
        run(block, vision.port, known)
        assert "red" in capsys.readouterr().out


def need(blocks: list[str]) -> None:
    """Skip where a client of these is not there."""
    for name in re.findall(r"(?m)^(?:from|import) ([\w.]+)", "\n".join(blocks)):
        pytest.importorskip(name, reason=NOT_IN_DEBIAN)


def test_every_section_with_a_library_of_python_is_tried() -> None:
    named = {"OpenAI's clients", "Anthropic's client", "Ollama's clients", "LangChain", "haystack", "Agents"}
    assert {*named, "LlamaIndex", "LiteLLM", "instructor", "pydantic-ai", "Assistants"} == set(WITH_PYTHON)

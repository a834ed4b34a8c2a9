"""instructor, in its default mode and in the others that hold an answer to a schema."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import BaseModel

from tests.clients.conftest import CIRCLE, NOT_IN_DEBIAN, ask

pytest.importorskip("instructor", reason=NOT_IN_DEBIAN)

import instructor
from openai import OpenAI

pytestmark = pytest.mark.filterwarnings("ignore")  # of libraries that are not ours


class Seen(BaseModel):
    """What is in the image."""

    color: Literal["red", "green", "blue"]
    shape: Literal["circle", "square", "star"]


@pytest.mark.parametrize("mode", [None, "TOOLS", "TOOLS_STRICT", "JSON_SCHEMA"])
def test_an_answer_of_a_type(base_url: str, mode: str | None) -> None:
    if mode != "JSON_SCHEMA":
        pytest.importorskip("llguidance", reason="llguidance comes with `make venv`; Debian 13 has none")
    with OpenAI(base_url=base_url, api_key="any") as plain:
        more: Any = {"mode": instructor.Mode[mode]} if mode else {}
        client = instructor.from_openai(plain, **more)
        seen = client.create(
            model="qwen2-vl-2b-instruct",
            response_model=Seen,
            messages=ask("Answer as JSON with the keys color and shape.", CIRCLE),
            temperature=0,
        )
    # It makes a class of its own that is like ours.
    assert seen.model_dump() == {"color": "red", "shape": "circle"}

"""Ollama's own Python client with nothing changed but the address."""

from __future__ import annotations

import base64

import pytest

from tests.clients.conftest import CIRCLE, NOT_IN_DEBIAN, RED, drawn
from tests.hailo_florence.api.running import Running

pytest.importorskip("ollama", reason=NOT_IN_DEBIAN)

import ollama

pytestmark = pytest.mark.filterwarnings("ignore")  # of libraries that are not ours
MODEL = "qwen2-vl-2b-instruct"
FILE = drawn(("circle", RED, 240))
QUESTION = {"role": "user", "content": "What color is the circle?", "images": [FILE]}


@pytest.fixture(scope="module")
def client(vision: Running) -> ollama.Client:
    """As its documentation says."""
    return ollama.Client(host=f"http://127.0.0.1:{vision.port}")


def test_chat_whole_and_as_it_comes(client: ollama.Client) -> None:
    assert client.chat(MODEL, messages=[QUESTION]).message.content == "red"
    parts = list(client.chat(MODEL, messages=[QUESTION], stream=True))
    assert "".join(part.message.content or "" for part in parts) == "red"
    assert parts[-1].done_reason == "stop"
    assert (parts[-1].prompt_eval_count or 0) > 48


def test_generate_with_options_and_a_schema(client: ollama.Client) -> None:
    bare = base64.b64encode(FILE).decode()
    assert bare == CIRCLE.partition(",")[2]
    asked = client.generate(MODEL, "Describe the image.", images=[bare], options={"num_ctx": 8192, "seed": 1})
    assert asked.response == "A red circle."
    schema = {
        "type": "object",
        "properties": {"color": {"enum": ["red", "blue"]}, "shape": {"enum": ["circle", "square"]}},
        "required": ["color", "shape"],
    }
    text = client.generate(
        MODEL, "Answer as JSON with the keys color and shape.", images=[bare], format=schema
    ).response
    assert (text or "").replace(" ", "") == '{"color":"red","shape":"circle"}'


def test_what_clients_ask_before(client: ollama.Client) -> None:
    names = [model.model for model in client.list().models]
    assert names[0] == MODEL
    shown = client.show(MODEL)
    assert "vision" in (shown.capabilities or [])
    assert client.pull(MODEL).status == "success"
    with pytest.raises(ollama.ResponseError, match="no such model"):
        client.chat("llava", messages=[QUESTION])

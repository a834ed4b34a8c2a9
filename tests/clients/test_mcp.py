"""The official Python SDK of the Model Context Protocol, in every revision that it speaks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from tests.clients.conftest import CIRCLE, NOT_IN_DEBIAN, PAIR
from tests.hailo_florence.api.running import Running, started

pytest.importorskip("mcp", reason=NOT_IN_DEBIAN)

from mcp import Client, ClientSession
from mcp.client.streamable_http import streamable_http_client

pytestmark = pytest.mark.filterwarnings("ignore")  # of libraries that are not ours
BARE = CIRCLE.partition(",")[2]
HANDSHAKE = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")


@pytest.fixture(scope="module")
def florence() -> Iterator[Running]:
    """hailo-florence over its demo model."""
    with started() as running:
        yield running


def using(running: Running, work: Callable[[Any], Awaitable[Any]], mode: str = "auto") -> Any:
    """What `work` gives with a client that is connected as its documentation says."""

    async def connected() -> Any:
        async with Client(f"http://127.0.0.1:{running.port}/mcp", mode=mode) as client:
            return await work(client)

    return asyncio.run(connected())


def called(running: Running, tool: str, mode: str = "auto", **arguments: Any) -> Any:
    return using(running, lambda client: client.call_tool(tool, arguments), mode)


@pytest.mark.parametrize("mode", ["auto", "legacy", "2026-07-28"])
def test_tools_are_listed_and_answer_truly(vision: Running, mode: str) -> None:
    listed = using(vision, lambda client: client.list_tools(), mode)
    assert [tool.name for tool in listed.tools] == ["ask_image", "describe_image"]
    answer = called(vision, "ask_image", mode, image=CIRCLE, question="What color is the circle?")
    assert not answer.is_error
    assert answer.content[0].text == "red"
    assert answer.structured_content == {
        "text": "red",
        "model": "qwen2-vl-2b-instruct",
        "finish_reason": "stop",
    }


def test_the_newest_revision_is_agreed_on(vision: Running) -> None:
    async def agreed(client: Any) -> tuple[str, str]:
        return client.protocol_version, client.server_info.name

    assert using(vision, agreed) == ("2026-07-28", "hailo-vision")


@pytest.mark.parametrize("version", HANDSHAKE)
def test_each_earlier_revision_is_kept_to(
    vision: Running, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcp.client.session.LATEST_HANDSHAKE_VERSION", version)

    async def session() -> Any:
        async with (
            streamable_http_client(f"http://127.0.0.1:{vision.port}/mcp") as (read, write),
            ClientSession(read, write) as client,
        ):
            told = await client.initialize()
            assert told.protocol_version == version
            await client.send_ping()
            return await client.call_tool("describe_image", {"image": PAIR})

    assert asyncio.run(session()).content[0].text == "A red circle to the left of a blue square."


def test_bare_base64_and_several_images(vision: Running) -> None:
    assert called(vision, "describe_image", image=BARE).content[0].text == "A red circle."
    question = "Which image has more objects?"
    answer = called(vision, "ask_image", image=CIRCLE, more_images=[PAIR], question=question)
    assert answer.content[0].text == "The second image."


def test_florences_tasks(florence: Running) -> None:
    names = [tool.name for tool in using(florence, lambda client: client.list_tools()).tools]
    assert names == ["describe_image", "ask_image"]
    assert "red circle" in called(florence, "describe_image", image=CIRCLE).content[0].text
    answer = called(florence, "ask_image", image=CIRCLE, question="What color is the circle?")
    assert answer.structured_content["answer"] == "red"


def test_an_error_is_told_to_the_model_that_asked(vision: Running, florence: Running) -> None:
    answer = called(vision, "ask_image", image="https://192.0.2.1/a.png", question="What is it?")
    assert answer.is_error
    assert "image" in answer.content[0].text
    assert called(florence, "describe_image", image=CIRCLE, detail="endless").is_error

"""An answer of the Model Context Protocol that comes late."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from hailo_common.web.mcp.late import late_answer
from hailo_common.web.mcp.messages import Message
from hailo_common.web.state import request_state_of


async def failing() -> dict[str, Any]:
    await asyncio.sleep(0.05)
    raise RuntimeError("a secret")


def test_a_failure_nobody_expected_is_told_and_counted() -> None:
    scope: dict[str, Any] = {"type": "http"}
    sent = []

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(60)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message.get("body", b""))

    async def answer() -> None:
        work = asyncio.create_task(failing())
        message = Message("7", "tools/call", {}, stateless=True)
        await late_answer(message, work, began=time.monotonic(), every_s=0.01)(scope, receive, send)

    asyncio.run(answer())
    *signs, last = b"".join(sent).removesuffix(b"\n\n").split(b"\n\n")
    assert set(signs) == {b": working"}
    told = json.loads(last.removeprefix(b"event: message\ndata: "))
    assert (told["id"], told["error"]["code"]) == ("7", -32603)
    assert "secret" not in str(told)
    assert request_state_of(scope).code == told["error"]["data"]["code"] == "internal_error"

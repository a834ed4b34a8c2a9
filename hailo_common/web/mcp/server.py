"""What is answered to each method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hailo_common import __version__
from hailo_common.errors import ServiceError
from hailo_common.web.mcp.errors import INVALID_PARAMS, METHOD_NOT_FOUND
from hailo_common.web.mcp.messages import HANDSHAKE, META, REVISIONS, Message
from hailo_common.web.mcp.tools import Tool, ToolAnswer

_LIST_S = 60
"""How long a client may keep what it was told: a model that is loaded later may bring more tools."""
_CAPABILITIES: dict[str, Any] = {"tools": {}}


@dataclass(frozen=True)
class McpServer:
    """The tools of a service. `limit` bounds a message in bytes; after `quiet_s` seconds without an answer a
    client hears that it is being made.
    """

    name: str
    title: str
    instructions: str
    tools: Sequence[Tool]
    limit: int
    quiet_s: float = 10.0

    def answer(self, message: Message) -> dict[str, Any]:
        """The result of a message that needs no tool; raises RpcError."""
        if message.method == "tools/list":
            return self._list(message)
        if message.method == "ping":
            return self.result(message, {})
        if message.method == "server/discover" and message.stateless:
            return self._cached(message, {"supportedVersions": list(REVISIONS), **self._about()})
        if message.method == "initialize" and not message.stateless:
            return self._initialize(message)
        raise message.error(
            METHOD_NOT_FOUND, "This server has initialize, server/discover, ping, tools/list and tools/call."
        )

    def read(self, message: Message) -> tuple[Tool, dict[str, Any]]:
        """The tool that a message calls, and its arguments, which the message no longer holds."""
        name, arguments = message.params.get("name"), message.params.pop("arguments", None)
        tool = next((tool for tool in self.tools if tool.name == name), None)
        if tool is None:
            known = ", ".join(tool.name for tool in self.tools)
            raise message.error(INVALID_PARAMS, f"There is no such tool; this server has {known}.")
        if arguments is not None and not isinstance(arguments, dict):
            raise message.error(INVALID_PARAMS, "arguments must be an object.")
        return tool, arguments or {}

    def answered(self, message: Message, answer: ToolAnswer) -> dict[str, Any]:
        """The result of a call."""
        content = [{"type": "text", "text": answer.text}]
        found = {"content": content, "structuredContent": answer.structured, "isError": False}
        return self.result(message, found)

    def failed(self, message: Message, error: ServiceError) -> dict[str, Any]:
        """What the model that asked reads where a call fails, so that it can do better."""
        text = f"{error.param}: {error.message}" if error.param else error.message
        if error.retry_after is not None:
            text += f" (Again in {error.retry_after} s.)"
        content = [{"type": "text", "text": text}]
        return self.result(message, {"content": content, "isError": True}, {f"{self.name}/code": error.code})

    def result(
        self, message: Message, value: dict[str, Any], meta: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """A result as the message's kind of revision has it."""
        meta = meta or {}
        if message.stateless:
            value = {"resultType": "complete", **value}
            meta = {f"{META}serverInfo": self._info(), **meta}
        return value | ({"_meta": meta} if meta else {})

    def _list(self, message: Message) -> dict[str, Any]:
        if message.params.get("cursor") is not None:
            raise message.error(INVALID_PARAMS, "The list of tools has one page: cursor must be absent.")
        return self._cached(message, {"tools": [tool.listed() for tool in self.tools if tool.available()]})

    def _cached(self, message: Message, value: dict[str, Any]) -> dict[str, Any]:
        if message.stateless:
            value |= {"ttlMs": _LIST_S * 1000, "cacheScope": "private"}
        return self.result(message, value)

    def _initialize(self, message: Message) -> dict[str, Any]:
        asked = message.params.get("protocolVersion")
        agreed = asked if asked in HANDSHAKE else HANDSHAKE[-1]
        return {"protocolVersion": agreed, "serverInfo": self._info(), **self._about()}

    def _about(self) -> dict[str, Any]:
        return {"capabilities": _CAPABILITIES, "instructions": self.instructions}

    def _info(self) -> dict[str, str]:
        return {"name": self.name, "title": self.title, "version": __version__}

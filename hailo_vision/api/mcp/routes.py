"""The route of the Model Context Protocol, and what it tells of this service."""

from __future__ import annotations

from fastapi import FastAPI

from hailo_common.web.mcp.routes import add_mcp
from hailo_common.web.mcp.server import McpServer
from hailo_vision.api.chat_service import ChatService
from hailo_vision.api.mcp.tools import make_tools

_INSTRUCTIONS = (
    "A small vision-language model on this machine. Ask it about one thing at a time, in a short and plain"
    " question; send images as JPEG or PNG, a side of about 1000 pixels is enough."
)


def add_routes(app: FastAPI) -> None:
    """Add `/mcp`."""
    service: ChatService = app.state.chat_service
    limit = service.limits.body_bytes
    server = McpServer("hailo-vision", "Questions about images", _INSTRUCTIONS, make_tools(service), limit)
    add_mcp(app, server)

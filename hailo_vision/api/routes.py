"""All routes of hailo-vision. A dialect is a folder whose `routes` are named here and nowhere else."""

from __future__ import annotations

from fastapi import FastAPI

from hailo_vision.api.anthropic import routes as anthropic
from hailo_vision.api.chat_service import ChatService
from hailo_vision.api.llamacpp import routes as llamacpp
from hailo_vision.api.mcp import routes as mcp
from hailo_vision.api.ollama import routes as ollama
from hailo_vision.api.openai import routes as openai
from hailo_vision.api.responses import routes as responses

DIALECTS = (openai, responses, anthropic, ollama, llamacpp, mcp)


def add_routes(app: FastAPI, service: ChatService) -> None:
    """Add every dialect's routes over `service`."""
    app.state.chat_service = service
    for dialect in DIALECTS:
        dialect.add_routes(app)

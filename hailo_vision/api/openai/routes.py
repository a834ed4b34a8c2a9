"""The routes of OpenAI's dialect. They hold no state: everything comes from `app.state`."""

from __future__ import annotations

from fastapi import FastAPI

from hailo_vision.api.openai.chat import chat_completions
from hailo_vision.api.openai.models import model, models
from hailo_vision.api.openapi import CHAT, TAG, add_post


def add_routes(app: FastAPI) -> None:
    """Add `/v1/chat/completions` and `/v1/models`."""
    add_post(app, "/v1/chat/completions", chat_completions, CHAT, "Answer a conversation")
    app.add_api_route("/v1/models", models, methods=["GET"], summary="The model", tags=[TAG])
    app.add_api_route(
        "/v1/models/{name:path}", model, methods=["GET"], summary="The model by name", tags=[TAG]
    )

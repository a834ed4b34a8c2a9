"""What the API page shows of the requests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI

from hailo_common.images import SAMPLE

TAG = "Qwen2-VL"
_ALIAS = "qwen2-vl-2b-instruct"

_SAMPLING: dict[str, Any] = {
    "max_tokens": {"type": "integer", "minimum": 1, "description": "Most tokens of the answer."},
    "temperature": {"type": "number", "minimum": 0, "maximum": 2},
    "top_p": {"type": "number", "minimum": 0, "maximum": 1},
    "seed": {"type": "integer", "description": "Makes sampling repeatable."},
    "stream": {"type": "boolean", "description": "Answer with server-sent events."},
}


def _json(required: list[str], properties: dict[str, Any], example: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "required": required, "properties": {**properties, **_SAMPLING}}
    return {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}


_QUESTION = [
    {"type": "image_url", "image_url": {"url": SAMPLE}},
    {"type": "text", "text": "What shape is this?"},
]
CHAT = _json(
    ["model", "messages"],
    {
        "model": {"type": "string", "description": "Any of the names under /v1/models."},
        "messages": {
            "type": "array",
            "items": {"type": "object"},
            "description": "role and content; content is a string or a list of text and image_url parts.",
        },
        "response_format": {"type": "object"},
        "stop": {"type": "array", "items": {"type": "string"}},
    },
    {"model": _ALIAS, "messages": [{"role": "user", "content": _QUESTION}]},
)
RESPONSE = _json(
    ["input"],
    {
        "model": {"type": "string"},
        "input": {"description": "A text, or a list of messages, function calls and their outputs."},
        "instructions": {"type": "string"},
        "previous_response_id": {"type": "string"},
        "store": {"type": "boolean"},
    },
    {
        "model": _ALIAS,
        "input": [
            {
                "role": "user",
                "content": [
                    {"type": "input_image", "image_url": SAMPLE},
                    {"type": "input_text", "text": "What shape is this?"},
                ],
            }
        ],
    },
)
COMPLETION = _json(
    ["prompt"],
    {"model": {"type": "string"}, "prompt": {"type": "string"}},
    {"model": _ALIAS, "prompt": "What can you do?"},
)
ANALYZE = _json(
    ["images", "prompt"],
    {
        "images": {"type": "array", "items": {"type": "string"}, "description": "data: URLs."},
        "prompt": {"type": "string"},
    },
    {"images": [SAMPLE], "prompt": "What shape is this?"},
)

_ERROR = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {name: {"type": "string"} for name in ("message", "type", "param", "code")},
        }
    },
}
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"description": text, "content": {"application/json": {"schema": _ERROR}}}
    for status, text in (
        (400, "A field or an image is not as it must be; `param` names it."),
        (401, "A key is configured and none or another one was sent."),
        (404, "Another model's name."),
        (413, "More bytes than this service accepts."),
        (415, "Not JSON, or an image that is neither JPEG, PNG nor WebP."),
        (422, "The image could not be decoded in time."),
        (500, "The model failed on this request."),
        (502, "The model did not produce the JSON that was asked for."),
        (503, "Loading, busy, or replacing a lost engine; see Retry-After."),
    )
}


def add_post(
    app: FastAPI, path: str, handler: Callable[..., Any], body: dict[str, Any], summary: str
) -> None:
    """Add a route that reads its body itself; `body` is what the API page shows of it."""
    app.add_api_route(
        path,
        handler,
        methods=["POST"],
        response_model=None,
        responses=ERRORS,
        openapi_extra={"requestBody": body},
        summary=summary,
        tags=[TAG],
    )

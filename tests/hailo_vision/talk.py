"""Short ways to write requests and pictures for engines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hailo_common.engine.contract import Engine, RgbImage
from hailo_vision.protocol import ChatMessage, Sampling, VisionRequest, VisionResult

Parts = str | int


def say(role: str, *parts: Parts) -> dict[str, Any]:
    """A message of texts and numbers of pictures."""
    return {
        "role": role,
        "content": [
            {"type": "text", "text": part} if isinstance(part, str) else {"type": "image", "image": part}
            for part in parts
        ],
    }


def question(*parts: Parts, **fields: Any) -> dict[str, Any]:
    """A request of one message."""
    return {"messages": [say("user", *parts)], "max_tokens": 12, "temperature": 0, **fields}


def noise(number: int, rows: int = 2, columns: int = 3, factor: int = 12) -> RgbImage:
    """A picture of (rows, columns) times `factor` pixels, the same on every machine."""
    random = np.random.default_rng(number)
    return random.integers(0, 256, (rows * factor, columns * factor, 3), np.uint8)


def vision_request(fields: Mapping[str, Any]) -> VisionRequest:
    """A request from fields by OpenAI's names, without any check."""
    sampling = {
        "temperature": fields.get("temperature", 0.0),
        "top_p": fields.get("top_p", 1.0),
        "top_k": fields.get("top_k", 0),
        "seed": None if fields.get("seed") is None else fields["seed"] % 2**63,
        "frequency": fields.get("frequency_penalty", 0.0),
        "presence": fields.get("presence_penalty", 0.0),
        "repetition": fields.get("repetition_penalty"),
        "bias": {int(token): bias for token, bias in fields.get("logit_bias", {}).items()},
    }
    return VisionRequest(
        messages=tuple(chat_message(message) for message in fields["messages"]),
        max_tokens=fields.get("max_tokens"),
        sampling=Sampling(**sampling),
        stops=tuple(fields.get("stop") or ()),
        response_format=fields.get("response_format"),
        context_policy=fields.get("context_policy", "refuse"),
        tools=tuple(fields.get("tools", ())),
    )


def chat_message(message: Mapping[str, Any]) -> ChatMessage:
    """A message of `say`."""
    return ChatMessage(message["role"], tuple(part[part["type"]] for part in message["content"]))


def request_fields(request: VisionRequest) -> dict[str, Any]:
    """The inverse of `vision_request`, with every field."""
    sampling = request.sampling
    return {
        "messages": [_fields(message) for message in request.messages],
        "max_tokens": request.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "seed": sampling.seed,
        "frequency_penalty": sampling.frequency,
        "presence_penalty": sampling.presence,
        "repetition_penalty": sampling.repetition,
        "stop": list(request.stops),
        "logit_bias": {str(token): bias for token, bias in sampling.bias.items()},
        "response_format": request.response_format,
        "context_policy": request.context_policy,
        "tools": list(request.tools),
    }


def _fields(message: ChatMessage) -> dict[str, Any]:
    """A message as `say` makes it, with what it has of tools."""
    made = say(message.role, *message.parts)
    if message.calls:
        made["calls"] = [[call.id, call.name, call.arguments] for call in message.calls]
    return made if message.result is None else {**made, "result": [message.result.id, message.result.name]}


def ask(engine: Engine, request: dict[str, Any], *images: RgbImage) -> dict[str, Any]:
    """The engine's result."""
    *_, last = engine.run(vision_request(request), images)
    assert isinstance(last, VisionResult)
    return last.to_json()

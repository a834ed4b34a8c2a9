"""`ask_image` and `describe_image`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

from hailo_common.web.mcp.tools import IMAGE, Tool, ToolAnswer, ToolCall
from hailo_vision.api.chat_request import ChatRequest, sent_images
from hailo_vision.api.chat_service import ChatService
from hailo_vision.api.fields import Data, integer, refused, string
from hailo_vision.api.image_fields import source_of
from hailo_vision.api.messages import check_text
from hailo_vision.api.options import drawn_seed
from hailo_vision.protocol import ChatMessage, Sampling, VisionRequest

_PROMPTS = {"brief": "Describe the image.", "full": "Describe the image in detail."}
_OTHERS = {
    "model": {"type": "string", "description": "One of the models that GET /v1/models lists."},
    "max_tokens": {"type": "integer", "minimum": 1, "description": "Most tokens of the answer."},
}
_ANSWER = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "model": {"type": "string"},
        "finish_reason": {"type": "string", "description": "`length` where the answer was cut."},
    },
    "required": ["text", "model", "finish_reason"],
}


def make_tools(service: ChatService) -> tuple[Tool, ...]:
    """The tools over a service."""
    return (
        Tool(
            "ask_image",
            "Ask about an image",
            "Answers a question about an image, or about several that are compared.",
            _schema(
                ["image", "question"],
                image=IMAGE,
                question={"type": "string", "description": "In plain words."},
                more_images={"type": "array", "items": IMAGE, "description": "Images after the first."},
            ),
            _ANSWER,
            lambda arguments: _read(service, arguments, string(arguments, "question")),
        ),
        Tool(
            "describe_image",
            "Describe an image",
            "Says what is in an image.",
            _schema(["image"], image=IMAGE, detail={"type": "string", "enum": list(_PROMPTS)}),
            _ANSWER,
            lambda arguments: _read(service, arguments, _prompt(arguments)),
        ),
    )


def _schema(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {**properties, **_OTHERS}, "required": required}


def _prompt(arguments: Data) -> str:
    detail = arguments.get("detail") or "brief"
    if detail not in _PROMPTS:
        raise refused("detail", f"detail must be one of {', '.join(_PROMPTS)}.")
    return _PROMPTS[detail]


def _read(service: ChatService, arguments: Data, question: str) -> _Ask:
    service.check()
    service = service.resolve(arguments.get("model"))
    if not question.strip():
        raise refused("question", "question must not be empty.")
    with sent_images(service.limits) as sent:
        parts = [sent.add(*source_of(image, param)) for image, param in _images(arguments)]
        messages = (ChatMessage("user", (*parts, question)),)
        check_text(messages)
        chat = ChatRequest(_engine_request(service, arguments, messages), sent)
        return _Ask(service, chat, service.catalogue.spelled(arguments.get("model")))


def _images(arguments: Data) -> Sequence[tuple[Any, str]]:
    more = arguments.get("more_images") or []
    if not isinstance(more, list):
        raise refused("more_images", "more_images must be a list of images.")
    first = [(arguments["image"], "image")] if arguments.get("image") is not None else []
    if not first and not more:
        raise refused("image", "image is required: a data: URL or base64.")
    return [*first, *((image, f"more_images[{index}]") for index, image in enumerate(more))]


def _engine_request(
    service: ChatService, arguments: Data, messages: tuple[ChatMessage, ...]
) -> VisionRequest:
    limit = service.limits.max_new_tokens
    return VisionRequest(
        messages=messages,
        max_tokens=min(limit, integer(arguments, "max_tokens", 1) or limit),
        sampling=Sampling(temperature=service.limits.temperature, seed=drawn_seed()),
        context_policy=service.limits.context_policy,
    )


class _Ask(ToolCall):
    """One question about images."""

    def __init__(self, service: ChatService, chat: ChatRequest, model: str) -> None:
        self._service = service
        self._chat = chat
        self._model = model
        self._began = time.monotonic()

    async def run(self) -> ToolAnswer:
        """See `ToolCall.run`."""
        service = self._service
        async with AsyncExitStack() as holding:
            await service.fetch(self._chat.images)
            holding.enter_context(service.enter())
            await service.known()
            images = await service.decode(self._chat.images.images, holding)
            result = (await service.complete(self._chat, images, self._began)).result
        service.metrics.note_answer(time.monotonic() - self._began)
        told = {"text": result.text, "model": self._model, "finish_reason": result.finish_reason}
        return ToolAnswer(result.text, told)

    def close(self) -> None:
        """Close the images. May be called twice."""
        self._chat.close()

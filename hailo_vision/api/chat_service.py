"""Takes a checked request through decoder and engine to an answer. Asyncio, no HTTP, no engine code."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeAlias

from hailo_common.engine.contract import EngineInfo
from hailo_common.engine.request_queue import RequestQueue
from hailo_common.engine.stream import EngineStream
from hailo_common.errors import BadStructure, InvalidParameter, NotFound, ServiceError
from hailo_common.images.decoder import DecodedImage, ImageDecoder
from hailo_vision.api.chat_request import RequestLimits, SentImage
from hailo_vision.api.fields import refused
from hailo_vision.api.json_mode import Mismatch, check_schema, correction, instruction, parse
from hailo_vision.metrics import VisionMetrics
from hailo_vision.protocol import ChatMessage, VisionRequest, VisionResult


def unix_now() -> int:
    """Seconds since 1970, for stamps in answers; never for measuring."""
    return int(datetime.now(UTC).timestamp())


class Catalogue:
    """The one model and the names it goes by."""

    def __init__(self, aliases: Sequence[str]) -> None:
        self.aliases = tuple(aliases)
        self.created = unix_now()

    def check(self, name: Any, info: EngineInfo) -> str:
        """The model's own name if `name` is one of its names.

        Raises InvalidParameter for what is no name, NotFound (`model_not_found`) for another model's.
        """
        own = info.model
        if not isinstance(name, str) or not name:
            raise refused("model", f"model is required; this service has {own}.")
        if name.casefold() not in {known.casefold() for known in (own, *self.aliases)}:
            raise NotFound(
                f"There is no such model here; this service has {own}.", code="model_not_found", param="model"
            )
        return own


log = logging.getLogger(__name__)

Answer: TypeAlias = EngineStream[VisionResult]


@dataclass(frozen=True)
class StreamSettings:
    """How answers are given: seconds between comments in a silent stream, seconds that make one slow."""

    ping_s: float
    slow_inference_s: float


class ChatService:
    """Everything the routes of every dialect may call."""

    def __init__(
        self,
        *,
        queue: RequestQueue,
        decoder: ImageDecoder,
        metrics: VisionMetrics,
        catalogue: Catalogue,
        limits: RequestLimits,
        stream_settings: StreamSettings,
    ) -> None:
        self.queue = queue
        self.decoder = decoder
        self.metrics = metrics
        self.catalogue = catalogue
        self.limits = limits
        self.stream_settings = stream_settings

    @property
    def info(self) -> EngineInfo:
        """What the engine says of itself; raises NotReady before it was ever loaded."""
        return self.queue.engine.state.loaded_info()

    def check_model(self, name: Any) -> str:
        """The model's own name for one of its names; see `Catalogue.check`."""
        return self.catalogue.check(name, self.info)

    async def decode(self, sent: Sequence[SentImage], holding: AsyncExitStack) -> list[DecodedImage]:
        """Decode images in their order; `holding` closes them. An error names the image's field."""
        resize = self.info.resize
        decoded = []
        for image in sent:
            try:
                made = await self.decoder.decode_upload(image.encoded, resize)
            except ServiceError as error:
                error.param = error.param or image.param
                raise
            image.encoded.close()
            decoded.append(holding.enter_context(made))
        return decoded

    def constrains(self, request: VisionRequest) -> bool:
        """Whether the answer is plain text, or the engine itself keeps it to the JSON that is asked for."""
        return request.response_format is None or self.info.capabilities["constrained_json"]

    def start(self, request: VisionRequest, images: Sequence[DecodedImage]) -> Answer:
        """An answer that has not begun. Requests without an image give way to those that have one."""
        return self.queue.run(request, images, VisionResult, stream=True, background=not images)

    async def complete(self, request: VisionRequest, images: Sequence[DecodedImage], began: float) -> Answer:
        """A finished answer. Raises BadStructure when it is not the JSON that was asked for."""
        if not self.constrains(request):
            return await self._structured(request, images, began)
        answer = await self._finished(request, images, began)
        self.check_structure(request, answer.result)
        return answer

    def check_structure(self, request: VisionRequest, result: VisionResult) -> None:
        """Raise BadStructure for a constrained answer that ran out of tokens before its JSON was whole."""
        if request.response_format is None or result.finish_reason == "stop":
            return
        try:
            parse(result.text, True)
        except Mismatch:
            raise BadStructure(
                f"The answer ended after {result.completion_tokens} tokens, before its JSON was whole."
            ) from None

    async def _structured(
        self, request: VisionRequest, images: Sequence[DecodedImage], began: float
    ) -> Answer:
        """Ask for the JSON in words, check it, ask once more with the error."""
        schema = (request.response_format or {}).get("schema")
        if schema is not None:
            check_schema(schema)
        messages = _instructed(request.messages, instruction(schema))
        answer = await self._finished(
            replace(request, messages=messages, response_format=None), images, began
        )
        try:
            answer.result = replace(answer.result, text=parse(answer.result.text, schema))
            return answer
        except Mismatch as error:
            why = str(error)
        log.info("an answer was not the JSON asked for; trying once more")
        messages = (*messages, *_corrected(answer.result.text, why))
        try:
            answer = await self._finished(
                replace(request, messages=messages, response_format=None), images, began
            )
            answer.result = replace(answer.result, text=parse(answer.result.text, schema))
        except (Mismatch, InvalidParameter):
            raise BadStructure(
                "The model did not produce the JSON that response_format asks for, in two tries."
            ) from None
        return answer

    async def _finished(self, request: VisionRequest, images: Sequence[DecodedImage], began: float) -> Answer:
        answer = self.start(request, images)
        async with aclosing(answer):
            await answer.begin()
            await answer.finish()
        self.note(answer, images, began)
        return answer

    def note(self, answer: Answer, images: Sequence[DecodedImage], began: float) -> None:
        """Count and log a finished answer; `began` is its admission's monotonic time."""
        result = answer.result
        self.metrics.note_chat(result, waited=answer.began_at - began, first=answer.first_at - began)
        fields: dict[str, Any] = {
            "MODEL": self.info.model,
            "INFERENCE_TIME_MS": round(result.seconds * 1000),
            "LOAD_TIME_MS": 0,
            "TOTAL_MS": round((answer.ended_at - began) * 1000),
            "TOKENS_GENERATED": result.completion_tokens,
            "PROMPT_TOKENS": result.prompt_tokens,
            "COMPLETION_TOKENS": result.completion_tokens,
            "CACHED_TOKENS": result.cached_tokens,
            "IMAGES": len(images),
        }
        if images:
            fields["IMAGE_SIZE"] = f"{images[0].original_width}x{images[0].original_height}"
        slow = self.stream_settings.slow_inference_s
        if result.seconds > slow:
            log.warning("Slow inference: over %g s", slow, extra={"fields": fields})
        else:
            log.info("Answer generated successfully", extra={"fields": fields})


def _instructed(messages: tuple[ChatMessage, ...], what: str) -> tuple[ChatMessage, ...]:
    """The messages with an instruction at the end of the last one."""
    *before, last = messages
    return (*before, replace(last, parts=(*last.parts, f"\n\n{what}")))


def _corrected(answer: str, why: str) -> tuple[ChatMessage, ...]:
    return ChatMessage("assistant", (answer,)), ChatMessage("user", (correction(why),))

"""Takes a checked request through decoder and engine to an answer. Asyncio, no HTTP, no engine code."""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager, AsyncExitStack, aclosing
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from hailo_common.engine.contract import EngineInfo
from hailo_common.engine.pool import EnginePool
from hailo_common.engine.request_queue import RequestQueue
from hailo_common.engine.stream import EngineStream
from hailo_common.errors import BadStructure, InvalidParameter, ServiceError
from hailo_common.images.decoder import DecodedImage, ImageDecoder
from hailo_vision.api.catalogue import Catalogue
from hailo_vision.api.chat_request import RequestLimits, SentImage
from hailo_vision.api.json_mode import Mismatch, check_schema, correction, instruction, parse
from hailo_vision.metrics import VisionMetrics
from hailo_vision.protocol import ChatMessage, VisionRequest, VisionResult

log = logging.getLogger(__name__)

Answer: TypeAlias = EngineStream[VisionResult]


@dataclass(frozen=True)
class StreamSettings:
    """How answers are given: seconds between comments in a silent stream, seconds that make one slow."""

    ping_s: float
    slow_inference_s: float


class ChatService:
    """Everything the routes of every dialect may call. It speaks for one model: `resolve` leads to others.

    `check` before the body is read; then `resolve` with the name that is asked for, and on what that returns
    `enter`, before anything else.
    """

    def __init__(
        self,
        *,
        pool: EnginePool,
        decoder: ImageDecoder,
        metrics: VisionMetrics,
        catalogue: Catalogue,
        limits: RequestLimits,
        stream_settings: StreamSettings,
    ) -> None:
        self.pool = pool
        self.model = pool.default
        self.decoder = decoder
        self.metrics = metrics
        self.catalogue = catalogue
        self.limits = limits
        self.stream_settings = stream_settings

    @property
    def queue(self) -> RequestQueue:
        """The model's."""
        return self.model.queue

    @property
    def info(self) -> EngineInfo:
        """What the engine says of itself, by the model's name; raises NotReady before it was ever loaded."""
        info = self.model.engine.state.loaded_info()
        return replace(info, model=self.model.name) if self.pool.several else info

    def check(self) -> None:
        """Raise NotReady or Busy where there is no place for any request, before its body is read."""
        self.pool.check()

    def resolve(self, name: Any) -> ChatService:
        """The service of the model of that name; raises as `Catalogue.find`."""
        model = self.catalogue.find(name)
        if model is self.model:
            return self
        other = copy.copy(self)
        other.model = model
        return other

    def enter(self) -> AbstractContextManager[None]:
        """A place in the model's queue for a request whose body is there; raises NotReady or Busy."""
        return self.pool.enter(self.model)

    async def known(self) -> EngineInfo:
        """As `info`, which decoding images needs; loads one of several models that was never loaded."""
        engine = self.model.engine
        if self.pool.several and engine.state.info is None:
            await engine.until_ready(engine.spec.request_timeout_s)
        return self.info

    def keep(self, seconds: float) -> None:
        """Ollama's `keep_alive`: how long the model stays after its last request; see `EnginePool.keep`."""
        self.pool.keep(self.model, seconds)

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
        if log.isEnabledFor(logging.DEBUG):
            log.debug("request", extra={"fields": _parameters(request, images)})
        return self.queue.run(request, images, VisionResult, stream=True, background=not images)

    async def complete(self, request: VisionRequest, images: Sequence[DecodedImage], began: float) -> Answer:
        """A finished answer; one that ran out of tokens may have cut JSON, and says so by its
        `finish_reason`.

        Raises BadStructure when it is not the JSON that was asked for although it had room.
        """
        if not self.constrains(request):
            return await self._structured(request, images, began)
        return await self._finished(request, images, began)

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
            return _parsed(answer, schema)
        except Mismatch as error:
            why = str(error)
        log.info("an answer was not the JSON asked for; trying once more")
        messages = (*messages, *_corrected(answer.result.text, why))
        try:
            answer = await self._finished(
                replace(request, messages=messages, response_format=None), images, began
            )
            return _parsed(answer, schema)
        except (Mismatch, InvalidParameter):
            raise BadStructure(
                "The model did not produce the JSON that response_format asks for, in two tries."
            ) from None

    async def _finished(self, request: VisionRequest, images: Sequence[DecodedImage], began: float) -> Answer:
        answer = self.start(request, images)
        async with aclosing(answer):
            await answer.begin()
            await answer.finish()
        self.note(answer, images, began)
        return answer

    def note(self, answer: Answer, images: Sequence[DecodedImage], began: float) -> None:
        """Count and log a finished answer; `began` is its admission's monotonic time."""
        loading = self.model.engine.state.load_wait(began, answer.began_at)
        result = answer.result = replace(answer.result, load_seconds=loading)
        self.metrics.note_chat(result, waited=answer.began_at - began, first=answer.first_at - began)
        fields: dict[str, Any] = {
            "MODEL": self.info.model,
            "INFERENCE_TIME_MS": round(result.seconds * 1000),
            "LOAD_TIME_MS": round(loading * 1000),
            "TOTAL_MS": round((answer.ended_at - began) * 1000),
            "TOKENS_GENERATED": result.completion_tokens,
            "PROMPT_TOKENS": result.prompt_tokens,
            "COMPLETION_TOKENS": result.completion_tokens,
            "CACHED_TOKENS": result.cached_tokens,
            "TOKENS_PER_SECOND": round(result.tokens_per_second, 2),
            "IMAGES": len(images),
        }
        if images:
            fields["IMAGE_SIZE"] = f"{images[0].original_width}x{images[0].original_height}"
        slow = self.stream_settings.slow_inference_s
        if result.seconds > slow:
            log.warning("Slow inference: over %g s", slow, extra={"fields": fields})
        else:
            log.info("Answer generated successfully", extra={"fields": fields})
        log.debug("stages", extra={"fields": _stage_times(result)})


def _parameters(request: VisionRequest, images: Sequence[DecodedImage]) -> dict[str, Any]:
    """What a request asks for and how large it is; nothing of what it says."""
    sampling = {name: value for name, value in vars(request.sampling).items() if name != "bias"}
    texts = [part for message in request.messages for part in message.parts if isinstance(part, str)]
    return {
        **sampling,
        "BIASED_TOKENS": len(request.sampling.bias),
        "MAX_TOKENS": request.max_tokens,
        "STOPS": len(request.stops),
        "RESPONSE_FORMAT": (request.response_format or {}).get("type", "text"),
        "MESSAGES": len(request.messages),
        "CHARACTERS": sum(map(len, texts)),
        "IMAGE_SIZES": " ".join(f"{image.original_width}x{image.original_height}" for image in images),
    }


def _stage_times(result: VisionResult) -> dict[str, Any]:
    """Milliseconds of each part of an answer, and its counts."""
    parts = ("vision", "prefill", "decode", "first_token")
    times = {f"{part}_ms": round(getattr(result, f"{part}_seconds") * 1000, 1) for part in parts}
    return {
        **times,
        "IMAGE_TOKENS": result.image_tokens,
        "CACHED_IMAGES": result.cached_images,
        "ANSWER_LENGTH": len(result.text),
        "FINISH_REASON": result.finish_reason,
    }


def _parsed(answer: Answer, schema: Any) -> Answer:
    """The answer with its JSON bare; raises Mismatch where it is none although it had room for it."""
    try:
        answer.result = replace(answer.result, text=parse(answer.result.text, schema))
    except Mismatch:
        if answer.result.finish_reason != "length":
            raise
    return answer


def _instructed(messages: tuple[ChatMessage, ...], what: str) -> tuple[ChatMessage, ...]:
    """The messages with an instruction at the end of the last one."""
    *before, last = messages
    return (*before, replace(last, parts=(*last.parts, f"\n\n{what}")))


def _corrected(answer: str, why: str) -> tuple[ChatMessage, ...]:
    return ChatMessage("assistant", (answer,)), ChatMessage("user", (correction(why),))

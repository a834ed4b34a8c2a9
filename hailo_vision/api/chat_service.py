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
from hailo_common.errors import BadStructure, ServiceError
from hailo_common.images.decoder import DecodedImage, ImageDecoder
from hailo_common.remote_images.client import RemoteImages
from hailo_vision.api.answer_form import AnswerForm, first_reading, last_reading
from hailo_vision.api.catalogue import Catalogue
from hailo_vision.api.chat_request import ChatRequest, RequestLimits, SentImage, SentImages
from hailo_vision.api.tools.wording import instructed, tokens, tool_format
from hailo_vision.metrics import VisionMetrics
from hailo_vision.protocol import VisionRequest, VisionResult

log = logging.getLogger(__name__)

Answer: TypeAlias = EngineStream[VisionResult]
_TOOLS_SHARE = 2
"""Tools that a model may call are told in words where they take at most this part of its context."""


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
        self._remote = RemoteImages(limits.image_bytes)

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
            assert image.encoded is not None, "images by address are fetched first"
            try:
                made = await self.decoder.decode_upload(image.encoded, resize)
            except ServiceError as error:
                error.param = error.param or image.param
                raise
            if not image.kept:
                image.encoded.close()
            decoded.append(holding.enter_context(made))
        return decoded

    async def fetch(self, images: SentImages) -> None:
        """Fetch the images that came by address; see `SentImages.fetch`."""
        await images.fetch(self._remote, self.limits.body_bytes)

    def usable(self, chat: ChatRequest) -> ChatRequest:
        """The request without tools that the model may call and cannot be told of.

        Told in words they must leave room for a conversation. The demo model has learned nothing of tools.
        """
        use, info = chat.tools, self.info
        if use is None or use.least:
            return chat
        told_by_template = info.capabilities.get("template_tools", False)
        room = info.limits["max_model_len"] // _TOOLS_SHARE
        if info.demo or (not told_by_template and tokens(use) > room):
            return replace(chat, tools=None)
        return chat

    def constrains(self, chat: ChatRequest) -> bool:
        """Whether the answer is plain text, or the engine itself keeps it to the form that is asked for."""
        plain = chat.engine.response_format is None and chat.tools is None
        return plain or self.info.capabilities["constrained_json"]

    def _for_engine(self, chat: ChatRequest) -> VisionRequest:
        """What the engine is asked: its template tells the model of tools, else the system message does."""
        request, use, info = chat.engine, chat.tools, self.info
        if use is None:
            return request
        constrained = info.capabilities["constrained_json"]
        if info.capabilities.get("template_tools", False):
            request = replace(request, tools=tuple(tool.declared for tool in use.tools))
        elif not (info.demo and constrained):
            request = replace(request, messages=instructed(request.messages, use))
        if constrained:
            request = replace(request, response_format=tool_format(use, request.response_format))
        return request

    def start(self, chat: ChatRequest, images: Sequence[DecodedImage]) -> Answer:
        """An answer that has not begun. Requests without an image give way to those that have one."""
        return self._start(self._for_engine(chat), images)

    def _start(self, request: VisionRequest, images: Sequence[DecodedImage]) -> Answer:
        if log.isEnabledFor(logging.DEBUG):
            log.debug("request", extra={"fields": _parameters(request, images)})
        return self.queue.run(request, images, VisionResult, stream=True, background=not images)

    async def complete(self, chat: ChatRequest, images: Sequence[DecodedImage], began: float) -> Answer:
        """A finished answer; one that ran out of tokens may have cut JSON, and says so by its
        `finish_reason`.

        Raises BadStructure when it is not the JSON, or has not the calls, that were asked for although it had
        room.
        """
        request, form = self._for_engine(chat), AnswerForm(chat.engine.response_format, chat.tools)
        held = self.constrains(chat)
        if not held:
            request = form.told(request)
        answer = await self._finished(request, images, began)
        if held and not is_loose(answer):
            return answer
        return await self._checked(answer, request, form, images, began)

    async def rest(
        self, answer: Answer, chat: ChatRequest, images: Sequence[DecodedImage], began: float
    ) -> Answer:
        """The whole of an answer that has begun and is loose; see `complete`."""
        await answer.finish()
        self.note(answer, images, began)
        form = AnswerForm(chat.engine.response_format, chat.tools)
        return await self._checked(answer, self._for_engine(chat), form, images, began)

    async def count(self, chat: ChatRequest, holding: AsyncExitStack) -> int:
        """Tokens of a conversation with its images: the engine begins with it, and is told to leave it."""
        await self.known()
        chat = self.usable(chat)
        images = await self.decode(chat.images.images, holding)
        request = replace(self._for_engine(chat), max_tokens=1, response_format=None, context_policy="refuse")
        async with aclosing(self._start(request, images)) as answer:
            await answer.begin()
            return answer.started.prompt_tokens if answer.started else 0

    async def _checked(
        self,
        answer: Answer,
        request: VisionRequest,
        form: AnswerForm,
        images: Sequence[DecodedImage],
        began: float,
    ) -> Answer:
        """An answer that nothing held to its form, checked; where it is wrong, another one to the request
        with the error.
        """
        text, why = first_reading(form, answer.result.text)
        if not why:
            return _read(answer, text)
        if answer.result.finish_reason == "length":
            return answer
        log.info("an answer was not in the form asked for; trying once more")
        answer = await self._finished(form.again(request, answer.result.text, why), images, began)
        again = last_reading(form, answer.result.text)
        if again is None and answer.result.finish_reason != "length":
            raise BadStructure(form.failed)
        return answer if again is None else _read(answer, again)

    async def _finished(self, request: VisionRequest, images: Sequence[DecodedImage], began: float) -> Answer:
        answer = self._start(request, images)
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
    texts = [text for message in request.messages for text in message.texts]
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


def is_loose(answer: Answer) -> bool:
    """Whether the engine, which holds answers to their form, could not hold this one to all of it."""
    return answer.started is not None and answer.started.loose


def _read(answer: Answer, text: str) -> Answer:
    """The answer with its text in the form in which it is read on."""
    answer.result = replace(answer.result, text=text)
    return answer

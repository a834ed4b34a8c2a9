"""Takes a checked call through decoder and engine to an answer. Asyncio, no HTTP, no engine code."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from typing import Any

from hailo_common.engine.request_queue import RequestQueue
from hailo_common.errors import BadStructure, InvalidParameter, ServiceError
from hailo_common.images.decoder import ImageDecoder
from hailo_common.images.handles import DecodedImage
from hailo_common.images.resize import ResizeSpec
from hailo_vision.api.chat_request import ChatRequest, RequestLimits
from hailo_vision.api.engine_stream import EngineStream
from hailo_vision.api.json_mode import correction, instruction, parse
from hailo_vision.api.json_schema import Mismatch, check_schema
from hailo_vision.api.messages import Image, Message
from hailo_vision.api.models import Catalogue, fingerprint
from hailo_vision.api.responses import ResponseMeta
from hailo_vision.metrics import VisionMetrics

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StreamSettings:
    """How answers are given."""

    ping_s: float = 10.0
    slow_inference_s: float = 60.0


class ChatService:
    """Everything the HTTP layer may call."""

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
    def info(self) -> Mapping[str, Any]:
        """What the engine says of itself."""
        return self.queue.engine.state.info

    def check_model(self, name: Any) -> str:
        """The model's own name for one of its names; see `Catalogue.check`."""
        return self.catalogue.check(name, self.info)

    def meta(self, began: float) -> ResponseMeta:
        """What the parts of one answer have in common; `began` is its admission's monotonic time."""
        return ResponseMeta(str(self.info["model"]), fingerprint(self.info), began=began)

    async def decode(self, images: Sequence[Image], holding: AsyncExitStack) -> list[DecodedImage]:
        """Decode pictures in their order; `holding` closes them. An error names the picture's field."""
        target = ResizeSpec.from_json(self.info["picture"])
        decoded = []
        for sent in images:
            try:
                image = await self.decoder.decode_upload(sent.upload, target)
            except ServiceError as error:
                error.param = error.param or sent.param
                raise
            sent.upload.close()
            decoded.append(holding.enter_context(image))
        return decoded

    def constrains(self, call: ChatRequest) -> bool:
        """Whether the answer is plain text, or the engine itself keeps it to the JSON that is asked for."""
        asked = call.options.response_format
        return asked is None or bool(self.info.get("capabilities", {}).get("constrained_json"))

    def start(self, call: ChatRequest, images: Sequence[DecodedImage]) -> EngineStream:
        """A run that has not begun. Requests without a picture give way to those that have one."""
        return self._start(call.for_engine(), images)

    def _start(self, request: dict[str, Any], images: Sequence[DecodedImage]) -> EngineStream:
        batches = self.queue.run(request, images, stream=True, background=not images)
        return EngineStream(batches)

    async def complete(
        self, call: ChatRequest, images: Sequence[DecodedImage], meta: ResponseMeta
    ) -> EngineStream:
        """A finished run. Raises BadStructure when the answer is not the JSON that was asked for."""
        if not self.constrains(call):
            return await self._structured(call, images, meta)
        run = await self._finished(call.for_engine(), images, meta)
        self.check_structure(call, run.result)
        return run

    def check_structure(self, call: ChatRequest, result: Mapping[str, Any]) -> None:
        """Raise BadStructure for a constrained answer that ran out of tokens before its JSON was whole."""
        if call.options.response_format is None or result["finish_reason"] == "stop":
            return
        try:
            parse(result["text"], True)
        except Mismatch:
            raise BadStructure(
                f"The answer ended after {result['completion_tokens']} tokens, before its JSON was whole."
            ) from None

    async def _structured(
        self, call: ChatRequest, images: Sequence[DecodedImage], meta: ResponseMeta
    ) -> EngineStream:
        """Ask for the JSON in words, check it, ask once more with the error."""
        schema = (call.options.response_format or {}).get("schema")
        if schema is not None:
            check_schema(schema)
        request = call.for_engine() | {"response_format": None}
        request["messages"] = _told(request["messages"], instruction(schema))
        run = await self._finished(request, images, meta)
        try:
            run.result["text"] = parse(run.result["text"], schema)
            return run
        except Mismatch as error:
            why = str(error)
        log.info("an answer was not the JSON asked for; trying once more")
        request["messages"] = [*request["messages"], *_again(run.result["text"], why)]
        try:
            run = await self._finished(request, images, meta)
            run.result["text"] = parse(run.result["text"], schema)
        except (Mismatch, InvalidParameter):
            raise BadStructure(
                "The model did not produce the JSON that response_format asks for, in two tries."
            ) from None
        return run

    async def _finished(
        self, request: dict[str, Any], images: Sequence[DecodedImage], meta: ResponseMeta
    ) -> EngineStream:
        run = self._start(request, images)
        async with aclosing(run):
            await run.begin()
            await run.finish()
        self.note(run, images, meta)
        return run

    def note(self, run: EngineStream, images: Sequence[DecodedImage], meta: ResponseMeta) -> None:
        """Count and log a finished run."""
        result = run.result
        self.metrics.note_chat(result, waited=run.began_at - meta.began, first=run.first_at - meta.began)
        fields = {
            "MODEL": meta.model,
            "INFERENCE_TIME_MS": round(result["seconds"] * 1000),
            "LOAD_TIME_MS": 0,
            "TOTAL_MS": round((run.ended_at - meta.began) * 1000),
            "TOKENS_GENERATED": result["completion_tokens"],
            "PROMPT_TOKENS": result["prompt_tokens"],
            "COMPLETION_TOKENS": result["completion_tokens"],
            "CACHED_TOKENS": result["cached_tokens"],
            "IMAGES": len(images),
        }
        if images:
            fields["IMAGE_SIZE"] = f"{images[0].original_width}x{images[0].original_height}"
        slow = self.stream_settings.slow_inference_s
        if result["seconds"] > slow:
            log.warning("Slow inference: over %g s", slow, extra={"fields": fields})
        else:
            log.info("Answer generated successfully", extra={"fields": fields})


def _told(messages: list[Message], what: str) -> list[Message]:
    """The messages with an instruction at the end of the last one."""
    *before, last = messages
    return [*before, {**last, "content": [*last["content"], {"type": "text", "text": f"\n\n{what}"}]}]


def _again(answer: str, why: str) -> list[Message]:
    return [
        {"role": "assistant", "content": [{"type": "text", "text": answer}]},
        {"role": "user", "content": [{"type": "text", "text": correction(why)}]},
    ]

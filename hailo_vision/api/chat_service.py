"""Takes a checked call through decoder and engine to an answer. Asyncio, no HTTP, no engine code."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from typing import Any

from hailo_common.engine.request_queue import Lane
from hailo_common.errors import BadStructure, InvalidParameter, ServiceError
from hailo_common.images.decoder import PictureDecoder
from hailo_common.images.handles import RemotePicture
from hailo_common.images.resize import Target
from hailo_vision.api.chat_request import Call, CallLimits
from hailo_vision.api.engine_stream import Run
from hailo_vision.api.json_mode import correction, instruction, parse
from hailo_vision.api.json_schema import Mismatch, check_schema
from hailo_vision.api.messages import Image, Message
from hailo_vision.api.models import Catalogue, fingerprint
from hailo_vision.api.responses import Stamp
from hailo_vision.metrics import VisionMetrics

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Manner:
    """How answers are given."""

    ping_s: float = 10.0
    slow_inference_s: float = 60.0


class VisionWorker:
    """Everything the HTTP layer may call."""

    def __init__(
        self,
        *,
        lane: Lane,
        decoder: PictureDecoder,
        metrics: VisionMetrics,
        catalogue: Catalogue,
        limits: CallLimits,
        manner: Manner,
    ) -> None:
        self.lane = lane
        self.decoder = decoder
        self.metrics = metrics
        self.catalogue = catalogue
        self.limits = limits
        self.manner = manner

    @property
    def info(self) -> Mapping[str, Any]:
        """What the engine says of itself."""
        return self.lane.engine.state.info

    def check_model(self, name: Any) -> str:
        """The model's own name for one of its names; see `Catalogue.check`."""
        return self.catalogue.check(name, self.info)

    def stamp(self, began: float) -> Stamp:
        """What the parts of one answer have in common; `began` is its admission's monotonic time."""
        return Stamp(str(self.info["model"]), fingerprint(self.info), began=began)

    async def decode(self, images: Sequence[Image], holding: AsyncExitStack) -> list[RemotePicture]:
        """Decode pictures in their order; `holding` closes them. An error names the picture's field."""
        target = Target.from_json(self.info["picture"])
        pictures = []
        for image in images:
            try:
                picture = await self.decoder.decode_upload(image.upload, target)
            except ServiceError as error:
                error.param = error.param or image.param
                raise
            image.upload.close()
            pictures.append(holding.enter_context(picture))
        return pictures

    def constrains(self, call: Call) -> bool:
        """Whether the answer is plain text, or the engine itself keeps it to the JSON that is asked for."""
        asked = call.options.response_format
        return asked is None or bool(self.info.get("capabilities", {}).get("constrained_json"))

    def start(self, call: Call, pictures: Sequence[RemotePicture]) -> Run:
        """A run that has not begun. Requests without a picture give way to those that have one."""
        return self._start(call.for_engine(), pictures)

    def _start(self, request: dict[str, Any], pictures: Sequence[RemotePicture]) -> Run:
        batches = self.lane.run(request, pictures, stream=True, background=not pictures)
        return Run(batches)

    async def complete(self, call: Call, pictures: Sequence[RemotePicture], stamp: Stamp) -> Run:
        """A finished run. Raises BadStructure when the answer is not the JSON that was asked for."""
        if not self.constrains(call):
            return await self._structured(call, pictures, stamp)
        run = await self._finished(call.for_engine(), pictures, stamp)
        self.check_structure(call, run.result)
        return run

    def check_structure(self, call: Call, result: Mapping[str, Any]) -> None:
        """Raise BadStructure for a constrained answer that ran out of tokens before its JSON was whole."""
        if call.options.response_format is None or result["finish_reason"] == "stop":
            return
        try:
            parse(result["text"], True)
        except Mismatch:
            raise BadStructure(
                f"The answer ended after {result['completion_tokens']} tokens, before its JSON was whole."
            ) from None

    async def _structured(self, call: Call, pictures: Sequence[RemotePicture], stamp: Stamp) -> Run:
        """Ask for the JSON in words, check it, ask once more with the error."""
        schema = (call.options.response_format or {}).get("schema")
        if schema is not None:
            check_schema(schema)
        request = call.for_engine() | {"response_format": None}
        request["messages"] = _told(request["messages"], instruction(schema))
        run = await self._finished(request, pictures, stamp)
        try:
            run.result["text"] = parse(run.result["text"], schema)
            return run
        except Mismatch as error:
            why = str(error)
        log.info("an answer was not the JSON asked for; trying once more")
        request["messages"] = [*request["messages"], *_again(run.result["text"], why)]
        try:
            run = await self._finished(request, pictures, stamp)
            run.result["text"] = parse(run.result["text"], schema)
        except (Mismatch, InvalidParameter):
            raise BadStructure(
                "The model did not produce the JSON that response_format asks for, in two tries."
            ) from None
        return run

    async def _finished(
        self, request: dict[str, Any], pictures: Sequence[RemotePicture], stamp: Stamp
    ) -> Run:
        run = self._start(request, pictures)
        async with aclosing(run):
            await run.begin()
            await run.finish()
        self.note(run, pictures, stamp)
        return run

    def note(self, run: Run, pictures: Sequence[RemotePicture], stamp: Stamp) -> None:
        """Count and log a finished run."""
        result = run.result
        self.metrics.note_chat(result, waited=run.began_at - stamp.began, first=run.first_at - stamp.began)
        fields = {
            "MODEL": stamp.model,
            "INFERENCE_TIME_MS": round(result["seconds"] * 1000),
            "LOAD_TIME_MS": 0,
            "TOTAL_MS": round((run.ended_at - stamp.began) * 1000),
            "TOKENS_GENERATED": result["completion_tokens"],
            "PROMPT_TOKENS": result["prompt_tokens"],
            "COMPLETION_TOKENS": result["completion_tokens"],
            "CACHED_TOKENS": result["cached_tokens"],
            "IMAGES": len(pictures),
        }
        if pictures:
            fields["IMAGE_SIZE"] = f"{pictures[0].original_width}x{pictures[0].original_height}"
        slow = self.manner.slow_inference_s
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

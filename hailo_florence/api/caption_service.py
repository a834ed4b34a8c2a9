"""Takes a checked request through decoder and engine to an answer. Asyncio, no HTTP, no engine code."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from hailo_common.engine.request_queue import RequestQueue
from hailo_common.errors import InvalidParameter, NotSupported
from hailo_common.images.decoder import ImageDecoder
from hailo_common.images.handles import DecodedImage, EncodedImage
from hailo_common.images.resize import ResizeSpec
from hailo_common.web.metrics import Metrics

log = logging.getLogger(__name__)

Task = Literal["caption", "vqa"]


@dataclass(frozen=True)
class CaptionLimits:
    """What an operator may set about answers."""

    max_length_limit: int = 200
    default_max_length: int = 100
    slow_inference_s: float = 1.5


@dataclass(frozen=True)
class CaptionRequest:
    """One request, well formed; `image` is an encoded picture of any format."""

    task: Task
    image: EncodedImage
    question: str | None = None
    max_length: int | None = None
    min_length: int | None = None
    temperature: float = 0.0
    seed: int | None = None


@dataclass(frozen=True)
class CaptionResult:
    """The text with its true token count and the engine's own time."""

    text: str
    token_count: int
    finish_reason: str
    inference_time_ms: int
    model: str


class CaptionService:
    """Everything the HTTP layer may call."""

    def __init__(
        self, queue: RequestQueue, decoder: ImageDecoder, metrics: Metrics, limits: CaptionLimits
    ) -> None:
        self.queue = queue
        self.decoder = decoder
        self.metrics = metrics
        self.limits = limits

    def check(self, call: CaptionRequest) -> tuple[int, int | None]:
        """The lengths to use, (max, min); raises InvalidParameter or NotSupported."""
        limit = self.limits.max_length_limit
        longest = self.limits.default_max_length if call.max_length is None else call.max_length
        if not 1 <= longest <= limit:
            raise InvalidParameter(f"max_length must be between 1 and {limit}.", param="max_length")
        if call.min_length is not None and not 0 <= call.min_length <= longest:
            raise InvalidParameter(
                f"min_length must be between 0 and max_length, here {longest}.", param="min_length"
            )
        if not self.queue.engine.state.info.get("capabilities", {}).get(call.task, True):
            raise NotSupported(
                "The loaded model has no embedding of questions or no room for one, so it cannot answer any.",
                code="vqa_not_configured",
            )
        return longest, call.min_length

    async def answer(self, call: CaptionRequest) -> CaptionResult:
        """Decode, infer, measure. Call it inside `queue.admit()`; cancelling it cancels the inference."""
        started = time.monotonic()
        longest, shortest = self.check(call)
        target = ResizeSpec.from_json(self.queue.engine.state.info["picture"])
        with await self.decoder.decode_upload(call.image, target) as image:
            request = {
                "task": call.task,
                "question": call.question,
                "max_length": longest,
                "min_length": shortest,
                "temperature": call.temperature,
                "seed": call.seed,
            }
            result = await self.queue.result(request, [image])
            answer = self._measured(result)
            self._log(call, image, answer, time.monotonic() - started)
        return answer

    def _measured(self, result: Mapping[str, Any]) -> CaptionResult:
        answer = CaptionResult(
            text=result["text"],
            token_count=result["token_count"],
            finish_reason=result["finish_reason"],
            inference_time_ms=max(1, round(result["seconds"] * 1000)),
            model=self.queue.engine.state.info["model"],
        )
        self.metrics.note_result(result["seconds"], answer.token_count, answer.finish_reason)
        return answer

    def _log(self, call: CaptionRequest, image: DecodedImage, answer: CaptionResult, seconds: float) -> None:
        fields = {
            "MODEL": answer.model,
            "INFERENCE_TIME_MS": answer.inference_time_ms,
            "LOAD_TIME_MS": 0,
            "TOTAL_MS": round(seconds * 1000),
            "TOKENS_GENERATED": answer.token_count,
            "IMAGE_SIZE": f"{image.original_width}x{image.original_height}",
            "IMAGE_SIZE_BYTES": call.image.size,
            "CAPTION_LENGTH" if call.task == "caption" else "ANSWER_LENGTH": len(answer.text),
        }
        slow = answer.inference_time_ms > self.limits.slow_inference_s * 1000
        kind = "Caption" if call.task == "caption" else "Answer"
        if slow:
            log.warning("Slow inference: over %g s", self.limits.slow_inference_s, extra={"fields": fields})
        else:
            log.info("%s generated successfully", kind, extra={"fields": fields})

"""Takes a checked request through decoder and engine to an answer. Asyncio, no HTTP, no engine code."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Any

from hailo_common.engine.contract import EngineInfo
from hailo_common.engine.request_queue import RequestQueue
from hailo_common.errors import InvalidParameter, NotSupported
from hailo_common.images.decoder import DecodedImage, EncodedImage, ImageDecoder
from hailo_common.web.metrics import Metrics
from hailo_florence.protocol import FlorenceRequest, FlorenceResult, Task

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class CaptionLimits:
    """What an operator may set about answers."""

    max_length_limit: int
    default_max_length: int
    slow_inference_s: float


@dataclass(frozen=True, kw_only=True)
class CaptionRequest:
    """One request, well formed; `image` is an encoded image of any format, a length None is the default's."""

    task: Task
    image: EncodedImage
    question: str | None = None
    max_length: int | None = None
    min_length: int | None = None
    temperature: float = 0.0
    seed: int | None = None


class CaptionService:
    """Everything the routes may call."""

    def __init__(
        self, queue: RequestQueue, decoder: ImageDecoder, metrics: Metrics, limits: CaptionLimits
    ) -> None:
        self.queue = queue
        self.decoder = decoder
        self.metrics = metrics
        self.limits = limits

    @property
    def info(self) -> EngineInfo:
        """What the engine says of itself; raises NotReady before it was ever loaded."""
        return self.queue.engine.state.loaded_info()

    def for_engine(self, asked: CaptionRequest) -> FlorenceRequest:
        """What the engine is asked; raises InvalidParameter or NotSupported."""
        limit = self.limits.max_length_limit
        max_length = self.limits.default_max_length if asked.max_length is None else asked.max_length
        if not 1 <= max_length <= limit:
            raise InvalidParameter(f"max_length must be between 1 and {limit}.", param="max_length")
        if asked.min_length is not None and not 0 <= asked.min_length <= max_length:
            raise InvalidParameter(
                f"min_length must be between 0 and max_length, here {max_length}.", param="min_length"
            )
        if not self.info.capabilities[asked.task]:
            raise NotSupported(
                "The loaded model has no embedding of questions or no room for one, so it cannot answer any.",
                code="vqa_not_configured",
            )
        return FlorenceRequest(
            task=asked.task,
            question=asked.question,
            max_length=max_length,
            min_length=asked.min_length,
            temperature=asked.temperature,
            seed=asked.seed,
        )

    async def answer(self, asked: CaptionRequest) -> FlorenceResult:
        """Decode, infer, measure. Call it inside `queue.admit()`; cancelling it cancels the inference."""
        began = time.monotonic()
        request = self.for_engine(asked)
        with await self.decoder.decode_upload(asked.image, self.info.resize) as image:
            result = await self.queue.result(request, [image], FlorenceResult)
            self.metrics.note_result(result.seconds, result.completion_tokens, result.finish_reason)
            self._log(asked, image, result, time.monotonic() - began)
        return result

    def _log(
        self, asked: CaptionRequest, image: DecodedImage, result: FlorenceResult, seconds: float
    ) -> None:
        fields: dict[str, Any] = {
            "MODEL": self.info.model,
            "INFERENCE_TIME_MS": inference_time_ms(result),
            "LOAD_TIME_MS": 0,
            "TOTAL_MS": round(seconds * 1000),
            "TOKENS_GENERATED": result.completion_tokens,
            "IMAGE_SIZE": f"{image.original_width}x{image.original_height}",
            "IMAGE_SIZE_BYTES": asked.image.size,
            "CAPTION_LENGTH" if asked.task == "caption" else "ANSWER_LENGTH": len(result.text),
        }
        slow = self.limits.slow_inference_s
        kind = "Caption" if asked.task == "caption" else "Answer"
        if inference_time_ms(result) > slow * 1000:
            log.warning("Slow inference: over %g s", slow, extra={"fields": fields})
        else:
            log.info("%s generated successfully", kind, extra={"fields": fields})


def inference_time_ms(result: FlorenceResult) -> int:
    """The engine's own time in whole milliseconds, at least 1."""
    return max(1, round(result.seconds * 1000))

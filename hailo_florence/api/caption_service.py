"""Takes a checked request through decoder and engine to an answer. Asyncio, no HTTP, no engine code."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from hailo_common.engine.contract import EngineInfo
from hailo_common.engine.request_queue import RequestQueue
from hailo_common.engine.stream import EngineStream
from hailo_common.errors import InvalidParameter, NotSupported
from hailo_common.images.decoder import DecodedImage, EncodedImage, ImageDecoder
from hailo_common.images.scene import FRAME, FRAME_BYTES
from hailo_common.remote_images.client import RemoteImages
from hailo_common.web.metrics import Metrics
from hailo_florence.api.cameras import Cameras
from hailo_florence.api.sent_images import RequestLimits, SentImages
from hailo_florence.api.task_metrics import TaskMetrics
from hailo_florence.protocol import LOCATIONS, TASKS, FlorenceRequest, FlorenceResult, obstacle

Answer: TypeAlias = EngineStream[FlorenceResult]

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class CaptionLimits:
    """What an operator may set about answers."""

    max_length_limit: int
    default_max_length: int
    max_length_places: int
    slow_inference_s: float
    ping_s: float
    scene_threshold: float
    scene_keep_s: float
    request: RequestLimits


@dataclass(frozen=True, kw_only=True)
class CaptionRequest:
    """What is asked about an image, well formed; a length None is the default's.

    `box` is in pixels of the image as a viewer shows it, or in shares of its sides where `normalised`.
    """

    task: str
    question: str | None = None
    box: Sequence[float] | None = None
    normalised: bool = False
    max_length: int | None = None
    min_length: int | None = None
    temperature: float = 0.0
    seed: int | None = None
    num_beams: int = 1


@dataclass(frozen=True)
class Picture:
    """A decoded image, the bytes of its file, and the monotonic time at which its turn came."""

    decoded: DecodedImage
    size: int
    began: float

    def close(self) -> None:
        """Close its pixels. May be called twice."""
        self.decoded.close()


class CaptionService:
    """Everything the routes may call."""

    def __init__(
        self, queue: RequestQueue, decoder: ImageDecoder, metrics: Metrics, limits: CaptionLimits
    ) -> None:
        self.queue = queue
        self.decoder = decoder
        self.metrics = metrics
        self.limits = limits
        self.tasks = TaskMetrics(metrics.registry)
        self._remote = RemoteImages(limits.request.image_bytes)
        self.cameras = Cameras(limits.scene_keep_s)

    @property
    def info(self) -> EngineInfo:
        """What the engine says of itself; raises NotReady before it was ever loaded."""
        return self.queue.engine.state.loaded_info()

    def for_engine(self, asked: CaptionRequest) -> FlorenceRequest:
        """What the engine is asked, before the image is known; raises InvalidParameter or NotSupported."""
        limit, default = self._lengths(asked.task)
        max_length = default if asked.max_length is None else asked.max_length
        if not 1 <= max_length <= limit:
            raise InvalidParameter(f"max_length must be between 1 and {limit}.", param="max_length")
        if asked.min_length is not None and not 0 <= asked.min_length <= max_length:
            raise InvalidParameter(
                f"min_length must be between 0 and max_length, here {max_length}.", param="min_length"
            )
        if asked.num_beams > 1 and asked.temperature > 0:
            raise InvalidParameter("num_beams above 1 needs temperature 0.", param="num_beams")
        if reason := obstacle(asked.task, self.info):
            code = "vqa_not_configured" if asked.task == "vqa" else "task_not_supported"
            raise NotSupported(reason, code=code)
        return FlorenceRequest(
            task=asked.task,
            question=asked.question,
            max_length=max_length,
            min_length=asked.min_length,
            temperature=asked.temperature,
            seed=asked.seed,
            num_beams=asked.num_beams,
        )

    async def fetch(self, images: SentImages) -> None:
        """Fetch the images that came by address; see `SentImages.fetch`."""
        await images.fetch(self._remote, self.limits.request)

    async def decode(self, image: EncodedImage) -> Picture:
        """The image's pixels, which the caller closes."""
        began = time.monotonic()
        return Picture(await self.decoder.decode_upload(image, self.info.resize), image.size, began)

    async def frame(self, image: EncodedImage) -> bytes:
        """A camera's picture as `hailo_common.images.scene` compares it."""
        with await self.decoder.glance(image, FRAME) as decoded:
            return os.pread(decoded.fd, FRAME_BYTES, 0)

    async def infer(self, asked: CaptionRequest, picture: Picture) -> FlorenceResult:
        """Infer and measure. Call it inside `queue.admit()`; cancelling it cancels the inference."""
        async with aclosing(self.start(asked, picture, stream=False)) as answer:
            await answer.begin()
            result = await answer.finish()
        self.note(asked, picture, result)
        return result

    def start(self, asked: CaptionRequest, picture: Picture, *, stream: bool = True) -> Answer:
        """An answer that has not begun; closing it cancels the inference."""
        request = replace(_in_image(self.for_engine(asked), asked, picture.decoded), stream=stream)
        log.debug("request", extra={"fields": _parameters(request)})
        return self.queue.run(request, [picture.decoded], FlorenceResult, stream=stream)

    def note(self, asked: CaptionRequest, picture: Picture, result: FlorenceResult) -> None:
        """Count and log an answer."""
        self.metrics.note_result(result.seconds, result.completion_tokens, result.finish_reason)
        self.tasks.note(asked.task, result.seconds, cached=result.cached)
        self._log(asked, picture, result)

    def facts(self, result: FlorenceResult) -> dict[str, Any]:
        """What every reply carries."""
        return {
            "inference_time_ms": inference_time_ms(result),
            "model": self.info.model,
            "token_count": result.completion_tokens,
            "cached": result.cached or None,
        }

    def _lengths(self, task: str) -> tuple[int, int]:
        """The largest max_length that may be asked for, and what counts where none is."""
        if TASKS[task].gives == "text":
            return self.limits.max_length_limit, self.limits.default_max_length
        return self.limits.max_length_places, self.limits.max_length_places

    def _log(self, asked: CaptionRequest, picture: Picture, result: FlorenceResult) -> None:
        image = picture.decoded
        ended = time.monotonic()
        loading = self.queue.engine.state.load_wait(picture.began, ended - result.seconds)
        fields: dict[str, Any] = {
            "MODEL": self.info.model,
            "INFERENCE_TIME_MS": inference_time_ms(result),
            "LOAD_TIME_MS": round(loading * 1000),
            "TOTAL_MS": round((ended - picture.began) * 1000),
            "TOKENS_GENERATED": result.completion_tokens,
            "TOKENS_PER_SECOND": round(result.completion_tokens / max(result.seconds, 1e-3), 2),
            "IMAGE_SIZE": f"{image.original_width}x{image.original_height}",
            "IMAGE_SIZE_BYTES": picture.size,
            "CAPTION_LENGTH" if asked.task == "caption" else "ANSWER_LENGTH": len(result.text),
            "TASK": asked.task,
        }
        slow = self.limits.slow_inference_s
        kind = "Caption" if asked.task == "caption" else "Answer"
        if inference_time_ms(result) > slow * 1000:
            log.warning("Slow inference: over %g s", slow, extra={"fields": fields})
        else:
            log.info("%s generated successfully", kind, extra={"fields": fields})
        log.debug("stages", extra={"fields": _stage_times(result)})


def inference_time_ms(result: FlorenceResult) -> int:
    """The engine's own time in whole milliseconds, at least 1."""
    return max(1, round(result.seconds * 1000))


def _parameters(request: FlorenceRequest) -> dict[str, Any]:
    """What a request asks for and how large it is; nothing of what it says."""
    hidden = {"question", "owner"}
    shown = {name: value for name, value in vars(request).items() if name not in hidden}
    return {**shown, "QUESTION_LENGTH": len(request.question or "")}


def _stage_times(result: FlorenceResult) -> dict[str, Any]:
    """Milliseconds of each stage, and what came of it."""
    times = {
        f"{stage}_ms": round(getattr(result, f"{stage}_seconds") * 1000, 1)
        for stage in ("vision", "encoder", "decode")
    }
    return {**times, "PLACES": len(result.places), "FINISH_REASON": result.finish_reason}


def _in_image(request: FlorenceRequest, asked: CaptionRequest, image: DecodedImage) -> FlorenceRequest:
    """The same request, in pixels of the image that was sent. Raises InvalidParameter."""
    size = image.original_width, image.original_height
    region = None if asked.box is None else _region(asked.box, (1, 1) if asked.normalised else size)
    return replace(request, region=region, size=None if asked.normalised else size)


def _region(box: Sequence[float], size: tuple[int, int]) -> tuple[int, ...]:
    """A box in steps of the model's locations; `size` is (width, height) in the box's own unit."""
    (x0, y0, x1, y1), (width, height) = box, size
    if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
        raise InvalidParameter(
            f"box must be x0, y0, x1, y1 with 0 <= x0 < x1 <= {width} and 0 <= y0 < y1 <= {height}.",
            param="box",
        )
    return tuple(
        min(LOCATIONS - 1, int(place * LOCATIONS / side)) for place, side in zip(box, size * 2, strict=True)
    )

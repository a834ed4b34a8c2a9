"""Florence-2 as an engine: one image and a task in, tokens and a text out.

No HTTP, no asyncio and no configuration here; see `hailo_common.engine.contract` for what an engine is.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from time import perf_counter
from typing import Any, ClassVar

import numpy as np

from hailo_common.engine.contract import EngineInfo, Event, RgbImage
from hailo_common.errors import InvalidParameter, ModelError
from hailo_common.images.resize import ResizeSpec
from hailo_common.inference.model_dir import ModelDir, describe, naming_stage
from hailo_common.inference.sampling import Chooser, check_finite
from hailo_common.npu.network import QuantizedRow
from hailo_common.owner import OwnedParts, Store
from hailo_common.resources import Closeable
from hailo_florence.build import BackendOptions, build_stages, read_model_config
from hailo_florence.config import SERVICE, FlorenceSettings
from hailo_florence.model.beams import BeamSearch
from hailo_florence.model.generation import (
    Generation,
    GenerationConfig,
    LengthLimits,
    default_minimum,
    generate,
    read_generation_config,
)
from hailo_florence.model.places import find_places
from hailo_florence.model.preprocess import read_image_settings
from hailo_florence.model.prompt import Pieces, Prompts
from hailo_florence.model.stages import Floats, ForkableDecoding, Stages
from hailo_florence.model.task_settings import read_not_things, read_tasks
from hailo_florence.npu.encoder import QUESTIONS
from hailo_florence.onnx.int8_file import VisionFile
from hailo_florence.protocol import LOCATIONS, TASKS, FlorenceRequest, FlorenceResult


def warm_up(
    stages: Stages, prompts: Prompts, rules: GenerationConfig, target: ResizeSpec, *, room: int
) -> int:
    """Run each stage once and the decoder twice; returns how many tokens an image takes.

    `room` is how many tokens image and prompt may take together. Raises ModelError naming the stage that
    does not fit the others, the tokenizer or the config.
    """
    prompt = prompts.encode("caption")
    with naming_stage("vision encoder"):
        features = stages.vision.encode(np.full((target.height, target.width, 3), 128, np.uint8))
    image_tokens = int(features.shape[-2])
    if image_tokens + len(prompt) > room:
        source = "config.json" if stages.text.length is None else "text encoder"
        raise ModelError(
            f"{source}: expected room for an image of {image_tokens} tokens and a prompt"
            f" of {len(prompt)}, not for {room}"
        )
    with naming_stage("text encoder"):
        hidden = stages.text.encode(features, prompt)
    with naming_stage("decoder"):
        decoding = stages.decoder.start(hidden)
        decoding.step(rules.start)
        scores = decoding.step(rules.eos[0] if rules.bos is None else rules.bos)
        check_finite(scores.real() if isinstance(scores, QuantizedRow) else scores)
    if scores.size < prompts.vocabulary:
        raise ModelError(
            f"tokenizer.json: expected at most {scores.size} tokens, as the decoder scores, "
            f"not {prompts.vocabulary}"
        )
    return image_tokens


_USEFUL_QUESTION = "a b c d e f g h"
"""Eight tokens: a model that was not made for questions answers them if it has room for such a one."""
_MIB = 1 << 20
_AROUND_ANSWER = 2  # the start token and BOS stand in decoder positions too


def make_engine(options: Mapping[str, Any]) -> FlorenceEngine:
    """An engine that is not loaded yet.

    `options`: `model_dir` (str), the keys of `FlorenceSettings` that are marked for the engine, and `variant`
    ("", "fp16", "int8", "quantized" or "q4": the kind of ONNX file preferred where there are several), and
    what `hailo_florence.prepare` adds.
    """
    settings = FlorenceSettings.from_engine_options(options)
    backend_options = BackendOptions(
        settings.backend, settings.threads, settings.npu_options(SERVICE), _vision_file(options)
    )
    return FlorenceEngine(
        Path(options["model_dir"]),
        backend_options,
        variant=str(options.get("variant", "")),
        feature_bytes=settings.picture_cache_mb * _MIB,
    )


def _vision_file(options: Mapping[str, Any]) -> VisionFile | None:
    """What `hailo_florence.prepare` chose."""
    if "vision_file" not in options:
        return None
    return VisionFile(Path(options["vision_file"]), options["vision_note"])


class FlorenceEngine(Closeable):
    """See `hailo_common.engine.contract.Engine`. One thread at a time; also a context manager."""

    request_type: ClassVar = FlorenceRequest

    def __init__(
        self, model_dir: Path, backend_options: BackendOptions, *, variant: str = "", feature_bytes: int = 0
    ) -> None:
        """`feature_bytes` are for the features of images that may come again."""
        self._folder = ModelDir(model_dir, variant)
        self._backend_options = backend_options
        self._stages: Stages | None = None
        self._features: OwnedParts[Store[bytes, Floats]] = OwnedParts(feature_bytes, Store)

    def load(self) -> EngineInfo:
        """Read the folder, load every stage and try them once on a grey image; see `Engine.load`.

        `limits`: `max_positions` (tokens that image and prompt may take together), `image_tokens`,
        `max_length` (longest answer in tokens) and `default_min_length` (when a request names none).
        """
        folder = self._folder
        folder.check()
        config = read_model_config(folder)
        settings = read_image_settings(folder)
        self._generation_config = read_generation_config(folder)
        self._prompts = Prompts(folder, self._generation_config)
        self._not_things = read_not_things(folder)
        stages = self._stages = build_stages(
            folder, settings, config, self._backend_options, self._prompts.wordings
        )
        self._max_positions = stages.positions(config.positions)
        self._image_tokens = warm_up(
            stages, self._prompts, self._generation_config, settings.target, room=self._max_positions
        )
        self._max_length = min(config.positions, stages.window or config.positions) - _AROUND_ANSWER
        if self._max_length < 1:
            raise ModelError(f"config.json: expected more than {_AROUND_ANSWER} positions")
        trained = read_tasks(folder)
        return EngineInfo(
            **describe(folder),
            stages=stages.info,
            resize=settings.target,
            limits={
                "max_positions": self._max_positions,
                "image_tokens": self._image_tokens,
                "max_length": self._max_length,
                "default_min_length": default_minimum(self._generation_config),
                "location_bins": LOCATIONS if self._prompts.has_locations else 0,
            },
            capabilities={task: self._can(task, trained) for task in TASKS},
        )

    def vitals(self) -> dict[str, Any]:
        """See `hailo_common.engine.contract.HasVitals`."""
        stages = self._stages
        celsius = stages.chip.temperature(stages.prove) if stages and stages.chip else None
        return {} if celsius is None else {"chip_temperature_c": list(celsius)}

    def _can(self, task: str, trained: Container[str]) -> bool:
        """True when the model was made for a task and has room for its prompt and an answer."""
        spec = TASKS[task]
        if task not in trained or self._max_length < spec.least:
            return False
        if spec.needs_locations and not self._prompts.has_locations:
            return False
        text = "a" if task != "vqa" or (self._folder.path / QUESTIONS).is_file() else _USEFUL_QUESTION
        shortest = self._prompts.encode(task, text, (0, 0, LOCATIONS - 1, LOCATIONS - 1))
        return self._image_tokens + len(shortest) <= self._max_positions

    def run(self, request: FlorenceRequest, images: Sequence[RgbImage]) -> Iterator[Event]:
        """Answer one request about one image of the target's size; see `Engine.run`.

        Yields tokens and a `FlorenceResult`. Raises InvalidParameter before any stage runs, EngineFailed for
        output that is not numbers. An answer that may be longer than the model's longest is cut there.
        """
        if self._stages is None:
            raise RuntimeError("the engine is not loaded")
        ids = self._prompts.encode(request.task, request.question, request.region)
        self._check_room(len(ids), "question" if request.task == "vqa" else "text")
        (image,) = images
        return self._answer(self._stages, request, ids, image)

    def _check_room(self, length: int, param: str) -> None:
        total = self._image_tokens + length
        if total > self._max_positions:
            raise InvalidParameter(
                f"The {param} is too long: the image takes {self._image_tokens} tokens and the prompt "
                f"{length}, {total} together, but the model has room for {self._max_positions}.",
                code="context_length_exceeded",
                param=param,
            )

    def _answer(
        self, stages: Stages, request: FlorenceRequest, ids: list[int], image: RgbImage
    ) -> Iterator[Event]:
        began = perf_counter()
        kept, key = self._features.of(request.owner), sha256(image.data.cast("B")).digest()
        known = kept.get(key)
        features = stages.vision.encode(image) if known is None else known
        seen = perf_counter()
        hidden = stages.text.encode(features, ids)
        encoded = perf_counter()
        answer = Generation()
        decoding = stages.decoder.start(hidden)
        limits = LengthLimits(min(request.max_length, self._max_length), request.min_length)
        rules = self._generation_config
        events = self._events(request, decoding, rules, limits, answer)
        streams = request.stream and TASKS[request.task].gives == "text"
        yield from self._pieces(events, answer) if streams else events
        # Only now: what ended in an error is not to be met again.
        kept.put(key, features, features.nbytes)
        yield replace(
            self._result(request, answer),
            cached=known is not None,
            vision_seconds=seen - began,
            encoder_seconds=encoded - seen,
        )

    def _events(
        self,
        request: FlorenceRequest,
        decoding: ForkableDecoding,
        rules: GenerationConfig,
        limits: LengthLimits,
        answer: Generation,
    ) -> Iterator[int | str]:
        if request.num_beams > 1:
            return BeamSearch(rules, limits, request.num_beams).run(decoding, answer)
        return generate(decoding, rules, limits, Chooser(request.temperature, request.seed), answer)

    def _pieces(self, events: Iterator[int | str], answer: Generation) -> Iterator[str]:
        """The text as it comes."""
        pieces = Pieces(self._prompts)
        for _ in events:
            yield pieces.of(answer.tokens)
        yield pieces.rest(self._prompts.decode(answer.tokens))

    def _result(self, request: FlorenceRequest, answer: Generation) -> FlorenceResult:
        raw, gives = self._prompts.decode_raw(answer.tokens), TASKS[request.task].gives
        return FlorenceResult(
            text=self._prompts.decode(answer.tokens),
            raw=raw,
            places=[] if gives == "text" else find_places(raw, gives, request.size, self._not_things),
            finish_reason=answer.finish_reason,
            completion_tokens=sum(token not in self._prompts.special for token in answer.tokens),
            vision_seconds=0.0,
            encoder_seconds=0.0,
            decode_seconds=answer.seconds,
        )

    def close(self) -> None:
        """Release all stages. May be called twice."""
        stages, self._stages = self._stages, None
        self._features.close()
        if stages is not None:
            stages.close()

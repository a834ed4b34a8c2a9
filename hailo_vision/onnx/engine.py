"""A vision language model on ONNX Runtime: a conversation with images in, text out as it comes.

No HTTP, no asyncio and no configuration here; see `hailo_common.engine.contract` for what an engine is.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any, ClassVar

import numpy as np

from hailo_common.engine.contract import EngineInfo, Event, RgbImage
from hailo_common.errors import InvalidParameter, ModelError, NotSupported
from hailo_common.inference.backend import (
    choose_stages,
    choose_threads,
    graph_size,
    probe,
    stages_info,
)
from hailo_common.inference.model_dir import ModelDir, describe, naming_stage
from hailo_common.inference.onnx import Graph, OnnxEmbedding
from hailo_common.inference.onnx_edits import last_row_only, multiply_in_int8
from hailo_common.inference.sampling import Logits, check_finite
from hailo_common.owner import OwnedParts
from hailo_common.resources import Closeable
from hailo_vision.config import VisionSettings
from hailo_vision.memory import CONVERSATION_SHARE, IMAGE_SHARE, max_image_tokens, memory_limit
from hailo_vision.onnx.cache import ConversationCache, FeatureCache
from hailo_vision.onnx.decoder import OnnxDecoder
from hailo_vision.onnx.families import read_family
from hailo_vision.onnx.families.family import Family
from hailo_vision.onnx.generate import GenerationConfig, read_generation_config
from hailo_vision.onnx.memory import MemoryGuard, Need, check_load
from hailo_vision.onnx.prompt import Prompt, Prompts
from hailo_vision.onnx.session import Generation, Model
from hailo_vision.onnx.stages import Floats, Stages
from hailo_vision.protocol import ChatMessage, VisionRequest
from hailo_vision.text.context_window import ContextWindow, FittedPrompt
from hailo_vision.text.grammar import Constraint, Grammars, available

log = logging.getLogger(__name__)

STAGES = ("vision_encoder", "decoder")
_FILES = ("vision_encoder", "embed_tokens", "decoder_model_merged")
_DECODER_EDITS = (multiply_in_int8, last_row_only)
_MB = 1_000_000
_TALK = (ChatMessage("system", ("Be short.",)), ChatMessage("user", (0, "What is this?")))
_SIDE = 64


def warm_up(stages: Stages, prompts: Prompts, generation: GenerationConfig, family: Family) -> int:
    """Run each stage once and the decoder twice; returns how many tokens the decoder scores.

    Raises ModelError naming the stage or file that does not fit the others.
    """
    width, height = family.resize.size_for(_SIDE, _SIDE)
    image = family.image_input(np.full((height, width, 3), 128, np.uint8))
    try:
        prompt = prompts.make(_TALK, [image])
    except InvalidParameter as error:
        raise ModelError(
            "chat template: expected to take a system message, and a user message with an image"
        ) from error
    if len(prompt.ids) >= family.positions:
        raise ModelError(f"config.json: expected more than {len(prompt.ids)} positions")
    features = _see(stages, prompt, family)
    scores = _read(stages, prompt, features, family)
    _check_vocabulary(stages, prompts, generation, scores)
    return scores.size


def _see(stages: Stages, prompt: Prompt, family: Family) -> Floats:
    (image,) = prompt.images
    with naming_stage("vision encoder"):
        features = stages.vision.encode(image.pixels)
    if features.shape != (image.tokens, family.width):
        raise ModelError(
            f"vision encoder: expected features of shape {(image.tokens, family.width)} for a grid of "
            f"{image.grid}, not {features.shape}"
        )
    return features


def _read(stages: Stages, prompt: Prompt, features: Floats, family: Family) -> Logits:
    with naming_stage("token embedding"):
        embedded = stages.embed(prompt.ids)
        following = stages.embed(prompt.ids[-1:])
        (span,) = prompt.spans
        embedded[0, span.start : span.start + len(features)] = features
    positions, position = family.token_positions(len(prompt.ids), prompt.spans)
    with naming_stage("decoder"):
        scores, past = stages.decoder.extend(stages.decoder.empty(), embedded, positions)
        check_finite(scores)
        scores, past = stages.decoder.extend(past, following, np.full((3, 1, 1), position, np.int64))
        check_finite(scores)
    return scores


def _check_vocabulary(stages: Stages, prompts: Prompts, generation: GenerationConfig, scores: Logits) -> None:
    if scores.size < prompts.tokens.size:
        raise ModelError(
            f"tokenizer.json: expected at most {scores.size} tokens, as the decoder scores, "
            f"not {prompts.tokens.size}"
        )
    if max(generation.eos) >= scores.size:
        raise ModelError(f"generation_config.json: expected ids below {scores.size} for 'eos_token_id'")
    with naming_stage("token embedding"):
        stages.embed([prompts.tokens.size - 1])


def make_onnx_engine(options: Mapping[str, Any]) -> OnnxVisionEngine:
    """An engine that is not loaded yet.

    `options`: `model_dir` (str), the keys of `VisionSettings` that are marked for the engine, and `variant`
    ("", "fp16", "int8", "quantized" or "q4": the kind of ONNX file preferred where there are several).
    """
    settings = VisionSettings.from_engine_options(options)
    return OnnxVisionEngine(
        Path(options["model_dir"]),
        backend=settings.backend,
        threads=settings.threads,
        variant=str(options.get("variant", "")),
        conversation_bytes=int(settings.conversation_cache_mb * _MB),
        image_bytes=int(settings.picture_cache_mb * _MB),
        max_model_len=settings.max_model_len,
        max_images=settings.max_images,
        max_image_tokens=max_image_tokens(settings),
        limit=memory_limit(settings),
    )


class OnnxVisionEngine(Closeable):
    """See `hailo_common.engine.contract.Engine`. One thread at a time; also a context manager."""

    request_type: ClassVar = VisionRequest

    def __init__(
        self,
        model_dir: Path,
        *,
        backend: str,
        threads: int,
        variant: str,
        conversation_bytes: int,
        image_bytes: int,
        max_model_len: int,
        max_images: int,
        max_image_tokens: int,
        limit: int,
    ) -> None:
        """Sizes in bytes and tokens; `limit` is of memory, 0 for none."""
        self._folder = ModelDir(model_dir, variant)
        self._backend = backend
        self._threads = threads
        self._image_bytes = image_bytes
        self._conversation_bytes = conversation_bytes
        self._max_model_len = max_model_len
        self._max_images = max_images
        self._max_image_tokens = max_image_tokens
        self._limit = limit
        self._model: Model | None = None

    def load(self) -> EngineInfo:
        """Read the folder, load every stage and try them once on a grey image; see `Engine.load`.

        `limits`: `max_model_len` (tokens of prompt and answer together), `image_tokens_max` (the most that
        one image takes) and `max_images`. `capabilities`: `vision`, `constrained_json` where answers can be
        held to a schema, and `template_tools` where the chat template tells the model of tools.
        """
        folder = self._folder
        folder.check()
        check_load([folder.onnx(name) for name in _FILES], self._limit)
        family = self._family = read_family(folder, self._max_model_len, self._max_image_tokens)
        generation = read_generation_config(folder)
        self._prompts = prompts = Prompts(folder, family.image_token)
        stages = build_stages(folder, family, wanted=self._backend, threads=self._threads)
        images, conversations = self._caches()
        self._model = Model(
            stages=stages,
            family=family,
            tokens=prompts.tokens,
            generation=generation,
            images=images,
            conversations=conversations,
        )
        vocabulary = warm_up(stages, prompts, generation, family)
        self._grammars = self._read_grammars(vocabulary, generation.eos)
        self._memory = MemoryGuard(self._limit, [images, conversations])
        return EngineInfo(
            **describe(folder),
            stages=stages.info,
            resize=family.resize,
            limits={
                "max_model_len": family.context,
                "image_tokens_max": family.max_image_tokens,
                "max_images": self._max_images,
            },
            capabilities={
                "vision": True,
                "constrained_json": self._grammars is not None,
                "template_tools": prompts.tells_tools,
            },
        )

    def _caches(self) -> tuple[OwnedParts[FeatureCache], OwnedParts[ConversationCache]]:
        """Of the sizes that were asked for, as far as the memory limit has room for such."""
        limit = self._limit or sys.maxsize
        return (
            OwnedParts(min(self._image_bytes, limit // IMAGE_SHARE), FeatureCache),
            OwnedParts(min(self._conversation_bytes, limit // CONVERSATION_SHARE), ConversationCache),
        )

    def _read_grammars(self, vocabulary: int, ends: Sequence[int]) -> Grammars | None:
        if not available():
            return None
        try:
            return Grammars(self._folder.text("tokenizer.json"), vocabulary, ends)
        except ModelError:
            raise
        except Exception:  # the library's own; answers are then checked instead
            log.warning("answers cannot be constrained: llguidance does not take this tokenizer")
            return None

    def run(self, request: VisionRequest, images: Sequence[RgbImage]) -> Iterator[Event]:
        """Answer one conversation; see `Engine.run`.

        Yields an `EngineStarted`, a text after each image and each token, a `VisionResult`. Raises
        InvalidParameter before any stage runs, EngineFailed for output that is not numbers.
        """
        began = perf_counter()
        if self._model is None:
            raise RuntimeError("the engine is not loaded")
        if len(images) > self._max_images:
            raise InvalidParameter(
                f"A request may hold {self._max_images} images, not {len(images)}.",
                code="too_many_images",
                param="messages",
            )
        inputs = [self._family.image_input(image) for image in images]
        constraint = self._constraint(request)
        planner = ContextWindow(
            lambda messages: self._prompts.make(messages, inputs, request.tools),
            self._family.context,
            self._model.tokens.longest,
        )
        plan = self._admitted(planner.plan(request), self._model.stages)
        return Generation(self._model, request, plan, constraint, began).events()

    def _admitted(self, plan: FittedPrompt[Prompt], stages: Stages) -> FittedPrompt[Prompt]:
        """The plan with an answer as long as memory allows; raises InvalidParameter where it allows none."""
        image = max((image.tokens for image in plan.prompt.images), default=0)
        image_bytes, token_bytes = stages.vision.bytes_for(image), stages.decoder.bytes_for(1)
        left = self._memory.room(image_bytes) // token_bytes - plan.prompt.length
        answer = max(1, min(plan.max_tokens, left))
        tokens = plan.prompt.length + answer
        self._memory.admit(Need(tokens, tokens * token_bytes, image, image_bytes))
        return replace(plan, max_tokens=answer)

    def _constraint(self, request: VisionRequest) -> Constraint | None:
        if request.response_format is None:
            return None
        if self._grammars is None:
            raise NotSupported("Answers cannot be constrained here.", param="response_format")
        return self._grammars.start(request.response_format)

    def close(self) -> None:
        """Release all stages and caches. May be called twice."""
        model, self._model = self._model, None
        if model is not None:
            model.stages.close()


def build_stages(folder: ModelDir, family: Family, *, wanted: str, threads: int) -> Stages:
    """Load all stages; `threads=0` chooses. Raises ModelMissing, ModelError or DeviceLost."""
    choices = choose_stages(STAGES, wanted, probe())
    paths = [folder.onnx(name) for name in _FILES]
    vision, embed, decoder = (
        Graph(path, choose_threads(threads, graph_size(path)), edits, folder=folder.path)
        for path, edits in zip(paths, (family.vision_edits, (), _DECODER_EDITS), strict=True)
    )
    decoder.follows("inputs_embeds", vision, "image_features")
    decoder.follows("inputs_embeds", embed, "inputs_embeds")
    return Stages(
        vision=family.vision_encoder(vision),
        embed=OnnxEmbedding(embed),
        decoder=OnnxDecoder(decoder, family.head, family.positions),
        info=stages_info(choices),
    )

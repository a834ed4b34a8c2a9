"""Chat models in GGUF files, on llama.cpp: several conversations at once, with images.

No HTTP, no asyncio; see `hailo_common.engine.contract.ConcurrentEngine` for what such an engine is.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from hailo_common.engine.contract import EngineInfo, Event, RgbImage, StageInfo
from hailo_common.errors import EngineFailed, InvalidParameter, ModelError, ModelMissing, NotSupported
from hailo_common.images.resize import ResizeSpec
from hailo_common.inference.backend import choose_threads
from hailo_common.inference.model_dir import ModelDir, describe
from hailo_common.resources import Closeable
from hailo_vision.config import VisionSettings
from hailo_vision.gguf.batching import Batching
from hailo_vision.gguf.checks import check_model
from hailo_vision.gguf.encoder import ImageEncoder
from hailo_vision.gguf.header import Header, read_header
from hailo_vision.gguf.model import LanguageModel
from hailo_vision.gguf.projectors import check_projector
from hailo_vision.gguf.prompt import ImageInput, Prompts
from hailo_vision.gguf.sizing import Room, choose_room, image_target, is_tiled, open_projector, tokens_of
from hailo_vision.gguf.slots import Slots
from hailo_vision.gguf.turns import Turn, Vocabulary
from hailo_vision.gguf.vision import ImagePart, Parts
from hailo_vision.memory import IMAGE_SHARE, max_image_tokens, memory_limit
from hailo_vision.protocol import ChatMessage, VisionRequest, VisionResult
from hailo_vision.text.context_window import ContextWindow, FittedPrompt
from hailo_vision.text.grammar import Constraint, Grammars, available

BACKEND = "llama.cpp (CPU)"
PROJECTOR = "clip"
_MB = 1024 * 1024
_STEP_ROWS = 512
_SIDE, _LARGE = 64, 4096  # pixels: an image to try, and one larger than any target
_NO_IMAGES = ResizeSpec(_SIDE, _SIDE)


def make_gguf_engine(options: Mapping[str, Any]) -> GgufEngine:
    """An engine that is not loaded yet.

    `options`: `model_dir` (str) and the keys of `VisionSettings` that are marked for the engine.
    """
    return GgufEngine(Path(options["model_dir"]), VisionSettings.from_engine_options(options))


class GgufEngine(Closeable):
    """See `hailo_common.engine.contract.ConcurrentEngine`. One thread at a time; also a context manager."""

    request_type: ClassVar = VisionRequest

    def __init__(self, model_dir: Path, settings: VisionSettings) -> None:
        self._folder = ModelDir(model_dir)
        self._settings = settings
        self._limit = memory_limit(settings) or sys.maxsize
        self._model: LanguageModel | None = None
        self._encoder: ImageEncoder | None = None
        self._grammars: Grammars | None = None
        self._largest: Parts = ()
        """What the largest image becomes; nothing without a projector."""

    def load(self) -> EngineInfo:
        """Check the headers, load the files and try them once on a grey image; see `Engine.load`.

        `limits` and `capabilities` as `OnnxVisionEngine.load` says; without a projector `vision` is False.
        """
        try:
            return self._load()
        except EngineFailed as error:
            # Nothing but the files was tried: they will fail the next time, too.
            raise ModelError(f"{self._folder.path}: a trial run failed: {error}") from error

    def _load(self) -> EngineInfo:
        self._folder.check()
        header, projector = self._read_headers()
        check_model(header)
        if projector is not None:
            check_projector(projector, header)
        files = [each.path.stat().st_size for each in (header, projector) if each is not None]
        settings = self._settings
        self._room = room = choose_room(
            header,
            files,
            max_model_len=settings.max_model_len,
            max_num_seqs=settings.max_num_seqs,
            memory_bytes=self._limit,
        )
        threads = choose_threads(settings.threads, sum(files))
        self._model = model = LanguageModel(header.path, threads=threads)
        self._prompts = Prompts(self._folder, header, model)
        ends = frozenset(filter(model.is_end, self._prompts.tokens.marks))
        if not ends:
            raise ModelError(f"{header.path}: expected a token that ends an answer")
        self._vocabulary = Vocabulary(self._prompts.tokens, ends)
        resize = self._load_projector(projector, threads) if projector is not None else _NO_IMAGES
        self._reserve(room, resize)
        return self._info(header, resize)

    def _read_headers(self) -> tuple[Header, Header | None]:
        """The language model's, and the projector's where there is one."""
        paths = self._folder.gguf()
        if not paths:
            raise ModelMissing(f"{self._folder.path}: there is no .gguf file")
        headers = [read_header(path) for path in paths]
        projectors = [header for header in headers if header.architecture == PROJECTOR]
        models = [header for header in headers if header.architecture != PROJECTOR]
        if len(models) != 1 or len(projectors) > 1:
            names = ", ".join(path.name for path in paths)
            raise ModelError(
                f"{self._folder.path}: expected one GGUF model and at most one projector, not {names}; a "
                "model that is split into several files must be joined with llama-gguf-split --merge"
            )
        return models[0], projectors[0] if projectors else None

    def _load_projector(self, header: Header, threads: int) -> ResizeSpec:
        assert self._model is not None
        most = max_image_tokens(self._settings, tiled=is_tiled(header))
        most = min(most, self._room.context * 3 // 4)
        projector = open_projector(header, self._model, threads=threads, max_tokens=most)
        kept = min(self._settings.picture_cache_mb * _MB, self._limit // IMAGE_SHARE)
        self._encoder = ImageEncoder(projector, kept)
        resize = image_target(projector, header, most)
        self._largest = projector.parts(*resize.size_for(_LARGE, _LARGE))
        return resize

    def _reserve(self, room: Room, resize: ResizeSpec) -> None:
        """Make room for the conversations, and try the whole way once."""
        assert self._model is not None
        whole = (part.count for part in self._largest if isinstance(part, ImagePart) and not part.causal)
        rows = max([_STEP_ROWS, *whole])
        self._model.reserve(slots=room.slots, context=room.context, step=rows)
        slots = Slots(self._model, room.slots, keeps=self._settings.conversation_cache_mb > 0)
        self._batching = Batching(self._model, self._encoder, slots, most_rows=rows)
        self._slots = slots
        self._warm_up(resize)

    def _warm_up(self, resize: ResizeSpec) -> None:
        """Raises ModelError when files do not fit each other; what is tried is not kept."""
        width, height = resize.size_for(_SIDE, _SIDE)
        grey = [np.full((height, width, 3), 128, np.uint8)] if self._encoder is not None else []
        images = [self._image_input(image) for image in grey]
        request = VisionRequest(messages=(ChatMessage("user", (*range(len(images)), "Hi")),))
        try:
            self._prompts.make(request.messages, images)
        except InvalidParameter as error:
            raise ModelError(f"{self._folder.path}: the chat template does not take a message") from error
        # A prompt that is as short as can be: each of its tokens costs what one of an answer does.
        plan = FittedPrompt(self._prompts.trial(images), 0, 1)
        slot = self._slots.take(request.owner, plan.prompt)
        self._batching.add(0, Turn(request, plan, slot, self._vocabulary, None), request.owner)
        self._finish_trial()
        self._slots.clear()

    def _finish_trial(self) -> None:
        while True:
            for _, event in self._batching.advance():
                if isinstance(event, Exception):
                    raise ModelError(f"{self._folder.path}: a trial run failed: {event}") from event
                if isinstance(event, VisionResult):
                    return

    def _info(self, header: Header, resize: ResizeSpec) -> EngineInfo:
        described = describe(self._folder)
        card = (self._folder.path / "model_card.json").exists()
        name = described["model"] if card else header.text("general.name", described["model"])
        vision = self._encoder is not None
        stages = ("vision_encoder", "decoder") if vision else ("decoder",)
        return EngineInfo(
            **{**described, "model": _printable(name) or described["model"]},
            stages=tuple(StageInfo(stage, BACKEND, "the model is a GGUF file") for stage in stages),
            resize=resize,
            limits={
                "max_model_len": self._room.context,
                "image_tokens_max": tokens_of(self._largest),
                "max_images": self._settings.max_images if vision else 0,
            },
            capabilities={
                "vision": vision,
                "constrained_json": available(),
                "template_tools": self._prompts.tells_tools,
            },
            parallel=self._room.slots,
        )

    def begin(self, number: int, request: VisionRequest, images: Sequence[RgbImage]) -> None:
        """Plan a request and give it a place; raises InvalidParameter before anything runs."""
        inputs = [self._image_input(image) for image in images]
        planner = ContextWindow(
            lambda messages: self._prompts.make(messages, inputs, request.tools),
            self._room.context,
            self._prompts.tokens.longest,
        )
        plan = planner.plan(request)
        constraint = self._constraint(request)
        slot = self._slots.take(request.owner, plan.prompt)
        self._batching.add(number, Turn(request, plan, slot, self._vocabulary, constraint), request.owner)

    def _image_input(self, image: RgbImage) -> ImageInput:
        if self._encoder is None:
            raise InvalidParameter(
                "This model reads no images: its folder has no projector (mmproj) file.",
                code="invalid_messages",
                param="messages",
            )
        height, width = image.shape[:2]
        return ImageInput(image, self._encoder.projector.parts(width, height))

    def _constraint(self, request: VisionRequest) -> Constraint | None:
        if request.response_format is None:
            return None
        if not available():
            raise NotSupported("Answers cannot be constrained here.", param="response_format")
        if self._grammars is None:
            tokens = self._prompts.tokens
            self._grammars = Grammars(tokens, tokens.size, sorted(self._vocabulary.ends))
        return self._grammars.start(request.response_format)

    def advance(self) -> Sequence[tuple[int, Event | Exception]]:
        """See `ConcurrentEngine.advance`."""
        return self._batching.advance()

    def cancel(self, number: int, /) -> None:
        """See `ConcurrentEngine.cancel`."""
        self._batching.drop(number)

    def close(self) -> None:
        """Release everything. May be called twice."""
        encoder, self._encoder = self._encoder, None
        model, self._model = self._model, None
        if encoder is not None:
            encoder.close()
        if model is not None:
            model.close()


def _printable(name: str) -> str:
    """A name as requests may write it."""
    return "-".join(name.split())[:128] if name.isprintable() else ""

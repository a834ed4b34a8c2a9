"""Qwen2-VL on the Hailo chip as an engine: the same requests and events as `hailo_vision.onnx.engine`.

No HTTP, no asyncio and no configuration here; see `hailo_common.engine.contract` for what an engine is. After
any failure of the chip the engine raises DeviceLost and must be replaced: an image that was given to the
chip and not read stays there, and would meet the next client's question.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any, ClassVar

from hailo_common.engine.contract import EngineInfo, Event, RgbImage, StageInfo
from hailo_common.errors import InvalidParameter, ModelError, ModelMissing
from hailo_common.inference.backend import NAMES
from hailo_common.inference.model_dir import ModelDir, describe
from hailo_common.npu.errors import explain, hailort_status
from hailo_common.npu.hailort import NpuSettings
from hailo_common.npu.types import VLM
from hailo_common.resources import Closeable
from hailo_vision.npu.chip import NpuChat, explained_errors, open_vlm
from hailo_vision.npu.completion import (
    CompletionReader,
    CompletionState,
    CompletionTimeouts,
    parameters,
    refuse,
)
from hailo_vision.npu.context import Context
from hailo_vision.npu.frames import FrameShape, frame_shape
from hailo_vision.npu.grid import MOST, grid, gridded
from hailo_vision.npu.prompt import FAMILY, NpuPrompts, SpecialTokens
from hailo_vision.npu.session import ChatModel, NpuGeneration
from hailo_vision.protocol import ChatMessage, Sampling, VisionRequest
from hailo_vision.text.context_window import ContextWindow
from hailo_vision.text.template import ChatTemplate, read_template
from hailo_vision.text.tokens import StopStrings

_TALK = (ChatMessage("system", ("Be short.",)), ChatMessage("user", (0, "What is this?")))
_ONE = 1


def warm_up(chip: NpuChat, prompts: NpuPrompts, shape: FrameShape, timeout_s: float) -> int:
    """Tokens of one frame. The context is empty afterwards.

    Raises ModelError when template and model do not fit, DeviceLost when the chip fails.
    """
    try:
        prompt = prompts.make(_TALK, [shape.grey()])
    except InvalidParameter as error:
        raise ModelError(
            "chat template: expected to take a system message, and a user message with an image"
        ) from error
    chip.clear()
    completion = chip.generate(prompt.text, prompt.images, parameters(Sampling(), _ONE))
    state = CompletionState()
    reader = CompletionReader(prompts.specials.ids, (), _ONE)
    with explained_errors("answering the first question"):
        for _ in reader.read(
            completion, StopStrings(()), state, CompletionTimeouts(3 * timeout_s, timeout_s)
        ):
            pass
    chip.end_generation()
    tokens = chip.usage() - _ONE - state.surplus - (prompt.length - 1)
    chip.clear()
    if tokens < 1:
        raise ModelError(f"the HEF takes {tokens} tokens for a frame: expected one or more")
    return tokens


STAGES = ("vision_encoder", "decoder")
_MAX_TOKEN_BYTES = 256  # bytes; Qwen's longest is 128 spaces
_NOT_AVAILABLE = 65  # what HailoRT says of a HEF without a template
_ENDS = ("<|im_end|>", "<|endoftext|>")


class NpuVisionEngine(Closeable):
    """See `hailo_common.engine.contract.Engine`. One thread at a time; also a context manager."""

    request_type: ClassVar = VisionRequest

    def __init__(
        self,
        model_dir: Path,
        *,
        chip: NpuSettings,
        frame_fit: str,
        max_model_len: int,
        max_images: int,
        keeps: bool,
        timeout_s: float,
        grids: bool = False,
    ) -> None:
        """`keeps=False` forgets every conversation; `timeout_s` is the longest wait for a token.

        `grids` puts several images into one frame where the model takes only one.
        """
        self._folder = ModelDir(model_dir)
        self._settings = chip
        self._fit = frame_fit
        self._max_model_len = max_model_len
        self._max_images = max_images
        self._keeps = keeps
        self._timeout_s = timeout_s
        self._grids = grids
        self._in_grid = False
        self._chip: NpuChat | None = None
        self._model: ChatModel | None = None

    def load(self) -> EngineInfo:
        """Open the chip, load the HEF and try it once on a grey frame; see `Engine.load`.

        `limits` and `capabilities` as `hailo_vision.onnx.engine` has them; answers are never constrained.
        """
        self._folder.check()
        hef = find_hef(self._folder)
        chip = self._chip = open_vlm(self._settings, hef)
        with explained_errors("reading the model's settings"):
            self._frame = frame_shape(chip.vlm)
            capacity = int(chip.vlm.max_context_capacity())
            ends = _ends(chip.vlm)
        self._context = min(self._max_model_len or capacity, capacity)
        one = takes_one_image(self._folder, hef)
        self._in_grid = one and self._grids
        most = chip.max_frames if not one else MOST if self._in_grid else 1
        self._max_frames = min(self._max_images, most)
        specials = SpecialTokens(chip.tokenize, [*FAMILY, *self._added(), *ends])
        prompts = NpuPrompts(self._template(chip), specials, chip.tokenize)
        prompts.frame_tokens = warm_up(chip, prompts, self._frame, self._timeout_s)
        context = Context(chip, prompts, keeps=self._keeps)
        self._model = ChatModel(chip, prompts, context, frozenset(ends), self._timeout_s)
        return self._facts(hef, prompts)

    def _facts(self, hef: Path, prompts: NpuPrompts) -> EngineInfo:
        facts = describe(self._folder)
        if not (self._folder.path / "config.json").exists() and facts["model"] == self._folder.path.name:
            facts["model"] = hef.stem
        reason = f"an NPU and {hef.name} for it are there"
        return EngineInfo(
            **facts,
            stages=tuple(StageInfo(name, NAMES["npu"], reason) for name in STAGES),
            resize=self._frame.target(self._fit),
            limits={
                "max_model_len": self._context,
                "image_tokens_max": prompts.frame_tokens,
                "max_images": self._max_frames,
            },
            capabilities={
                "vision": True,
                "constrained_json": False,
                "template_tools": prompts.tells_tools,
            },
        )

    def _template(self, chip: NpuChat) -> ChatTemplate:
        """The HEF's own template, else the folder's."""
        try:
            source = chip.vlm.prompt_template()
        except Exception as error:
            if hailort_status(error) == _NOT_AVAILABLE:
                return read_template(self._folder)
            raise explain(error, "reading the chat template") from error
        return ChatTemplate(source, "the HEF's chat template")

    def _added(self) -> list[str]:
        """Texts of added tokens, where the folder has the tokenizer's file."""
        listed = self._folder.optional_json("tokenizer.json").get("added_tokens")
        found = listed if isinstance(listed, list) else []
        return [str(item["content"]) for item in found if isinstance(item, dict) and item.get("content")]

    def run(self, request: VisionRequest, images: Sequence[RgbImage]) -> Iterator[Event]:
        """Answer one conversation; see `OnnxVisionEngine.run` for the events.

        `logit_bias` and `response_format` raise NotSupported. Raises InvalidParameter before the chip reads
        anything, DeviceLost for every failure of the chip.
        """
        began = perf_counter()
        model = self._model
        if model is None:
            raise RuntimeError("the engine is not loaded")
        if len(images) > self._max_frames:
            raise InvalidParameter(
                f"A request may hold {self._max_frames} images, not {len(images)}.",
                code="too_many_images",
                param="messages",
            )
        refuse(request)
        if self._in_grid and len(images) > 1:
            request = replace(request, messages=tuple(gridded(request.messages, len(images))))
            images = [grid(images)]
        frames = [self._frame.frame(image) for image in images]
        planner = ContextWindow(
            lambda messages: model.prompts.make(messages, frames, request.tools),
            self._context,
            _MAX_TOKEN_BYTES,
        )
        return NpuGeneration(model, request, planner.plan(request), began).events()

    def vitals(self) -> dict[str, Any]:
        """See `hailo_common.engine.contract.HasVitals`."""
        measured = self._chip.temperature() if self._chip else None
        return {"chip_temperature_c": list(measured)} if measured else {}

    def close(self) -> None:
        """Release answer, model and chip, in this order. May be called twice."""
        self._model = None
        # Kept, so that what it could not release is not collected in another order.
        if self._chip is not None:
            self._chip.close()


def takes_one_image(folder: ModelDir, hef: Path) -> bool:
    """True for Qwen3-VL: its HEF takes one frame a request, which nothing in HailoRT tells."""
    return folder.optional_json("config.json").get("model_type") == "qwen3_vl" or bool(
        re.match(r"qwen3[-_]?vl", hef.stem, re.IGNORECASE)
    )


def find_hef(folder: ModelDir) -> Path:
    """The one HEF of a folder; raises ModelMissing where there is none, ModelError for several."""
    found = sorted(folder.path.glob("*.hef"))
    if not found:
        raise ModelMissing(f"{folder.path}: there is no .hef file")
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise ModelError(f"{folder.path}: expected one .hef file, not {names}")
    return found[0]


def _ends(vlm: VLM) -> list[str]:
    """The texts of the tokens that end an answer; sets them where the HEF names none."""
    ends = [str(text) for text in vlm.get_stop_tokens()]
    if not ends:
        ends = [text for text in _ENDS if len(vlm.tokenize(text)) == 1]
        if not ends:
            raise ModelError("the HEF names no token that ends an answer, and has none of Qwen2-VL's")
        vlm.set_stop_tokens(ends)
    return ends

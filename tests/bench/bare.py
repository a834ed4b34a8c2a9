"""The least that has to be done: decode the picture, run bare sessions over given tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from hailo_common.images.resize import ResizeSpec
from tests.limits import decode

PARTS = ("vision_encoder", "embed_tokens", "encoder_model", "decoder_model_merged")


def session_options(threads: int) -> Any:
    """What the service sets too."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def open_session(folder: Path, part: str, threads: int, profile: Path | None = None) -> Any:
    """One ONNX file of a model folder.

    With `profile`, a folder, its graph stays as the file has it, and `end_profiling()` writes there.
    """
    options = session_options(threads)
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile / part)
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        # The shapes of packed weights are not told.
        options.add_session_config_entry("session.disable_prepacking", "1")
    return ort.InferenceSession(str(folder / "onnx" / f"{part}.onnx"), options)


class Bare:
    """ONNX Runtime's sessions of one folder with as many threads as the service has."""

    def __init__(
        self,
        folder: Path,
        target: ResizeSpec,
        prompt: list[int],
        threads: int = 1,
        profile: Path | None = None,
    ) -> None:
        """`profile` is as `open_session` has it."""
        self._sessions = {part: open_session(folder, part, threads, profile) for part in PARTS}
        self.target = target
        self.prompt = prompt
        decoder = self._sessions["decoder_model_merged"]
        self._present = [item.name for item in decoder.get_outputs()][1:]
        self._empty = {
            item.name: np.zeros((1, item.shape[1], 0, item.shape[3]), np.float32)
            for item in decoder.get_inputs()
            if item.name.startswith("past")
        }
        self._mean = np.array([0.485, 0.456, 0.406], np.float32)
        self._std = np.array([0.229, 0.224, 0.225], np.float32)

    def decode(self, data: bytes) -> NDArray[np.uint8]:
        """The picture at the model's size."""
        rgb = np.frombuffer(decode(data, self.target).rgb, np.uint8)
        return rgb.reshape(self.target.height, self.target.width, 3)

    def run(self, image: NDArray[np.uint8], tokens: list[int]) -> None:
        """Feed `tokens` (the answer, start token first) through all sessions, one decoder step for each."""
        pixels = (image.astype(np.float32) / 255 - self._mean) / self._std
        features = self._of(
            "vision_encoder", pixel_values=np.ascontiguousarray(pixels.transpose(2, 0, 1))[None]
        )
        prompt = self._of("embed_tokens", input_ids=np.array([self.prompt]))
        inputs = np.concatenate([features, prompt], axis=1)
        mask = np.ones(inputs.shape[:2], np.int64)
        hidden = self._of("encoder_model", inputs_embeds=inputs, attention_mask=mask)
        self._answer(tokens, hidden, mask)

    def profiles(self) -> dict[str, Path]:
        """The profile of each part, when they were asked for; ends the profiling."""
        return {part: Path(session.end_profiling()) for part, session in self._sessions.items()}

    def _of(self, part: str, **feeds: NDArray[Any]) -> NDArray[np.float32]:
        made: list[NDArray[np.float32]] = self._sessions[part].run(None, feeds)
        return made[0]

    def _answer(self, tokens: list[int], hidden: NDArray[np.float32], mask: NDArray[np.int64]) -> None:
        decoder = self._sessions["decoder_model_merged"]
        feeds: dict[str, NDArray[Any]] = {
            "encoder_hidden_states": hidden,
            "encoder_attention_mask": mask,
            **self._empty,
        }
        for step, token in enumerate(tokens):
            feeds["use_cache_branch"] = np.array([step > 0])
            feeds["inputs_embeds"] = self._of("embed_tokens", input_ids=np.array([[token]]))
            _, *present = decoder.run(None, feeds)
            for name, value in zip(self._present, present, strict=True):
                if step == 0 or ".decoder." in name:
                    feeds[name.replace("present", "past_key_values")] = value

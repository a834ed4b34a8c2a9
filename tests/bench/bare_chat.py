"""The least that an answer about a picture takes: decode it, run bare sessions over given tokens.

Prompt and positions are made beforehand; the picture is decoded, normalised and cut each time.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hailo_common.images.resize import ResizeSpec
from tests.bench.bare import open_session
from tests.limits import decode

PARTS = ("vision_encoder", "embed_tokens", "decoder_model_merged")
_MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
_STD = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)


@dataclass(frozen=True)
class Script:
    """One answer as numbers: `ids` (1, n) at `positions` (3, 1, n), the picture's tokens from `image` on.

    `following` is the position of the answer's first token, `answer` all its tokens, the end included.
    """

    ids: NDArray[np.int64]
    positions: NDArray[np.int64]
    image: int
    following: int
    answer: Sequence[int]


@dataclass(frozen=True)
class Cut:
    """Pixels of a patch's side, pictures in time of one patch, and patches merged to a token, per side."""

    patch: int
    temporal: int
    merge: int


class BareChat:
    """ONNX Runtime's sessions of one folder with as many threads as the service has."""

    def __init__(self, folder: Path, target: ResizeSpec, cut: Cut, script: Script, threads: int = 1) -> None:
        self._sessions = {part: open_session(folder, part, threads) for part in PARTS}
        self._target, self._cut, self._script = target, cut, script
        decoder = self._sessions["decoder_model_merged"]
        self._past = [item.name.replace("present", "past_key_values") for item in decoder.get_outputs()[1:]]
        self._empty = {
            item.name: np.zeros((1, item.shape[1], 0, item.shape[3]), np.float32)
            for item in decoder.get_inputs()
            if item.name.startswith("past")
        }

    def decode(self, data: bytes) -> NDArray[np.uint8]:
        """The picture at the size that the model wants for it."""
        made = decode(data, self._target)
        return np.frombuffer(made.rgb, np.uint8).reshape(made.height, made.width, 3)

    def answer(self, data: bytes) -> tuple[float, float]:
        """Seconds from a picture's file to the first token, and to the last of the script's answer."""
        began = time.perf_counter()
        script = self._script
        patches, grid = self._patches(self.decode(data))
        features = self._of("vision_encoder", pixel_values=patches, grid_thw=grid)
        embedded = self._of("embed_tokens", input_ids=script.ids)
        embedded[0, script.image : script.image + len(features)] = features
        past = self._read(embedded, script.positions, self._empty, script.ids.shape[1])
        first = time.perf_counter() - began
        for number, token in enumerate(script.answer[:-1]):
            embedded = self._of("embed_tokens", input_ids=np.array([[token]]))
            place = np.full((3, 1, 1), script.following + number)
            past = self._read(embedded, place, past, script.ids.shape[1] + number + 1)
        return first, time.perf_counter() - began

    def _patches(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """`pixel_values` and `grid_thw` of one picture."""
        patch, merge = self._cut.patch, self._cut.merge
        rows, columns = image.shape[0] // patch, image.shape[1] // patch
        pixels = (image * (1 / 255 / _STD) - _MEAN / _STD).transpose(2, 0, 1)
        blocks = pixels.reshape(3, rows // merge, merge, patch, columns // merge, merge, patch)
        ordered = blocks.transpose(1, 4, 2, 5, 0, 3, 6).reshape(rows * columns, 3, 1, patch * patch)
        made = np.repeat(ordered, self._cut.temporal, axis=2).reshape(rows * columns, -1)
        return made, np.array([[1, rows, columns]])

    def _of(self, part: str, **feeds: NDArray[Any]) -> NDArray[np.float32]:
        made: list[NDArray[np.float32]] = self._sessions[part].run(None, feeds)
        return made[0]

    def _read(
        self,
        embedded: NDArray[np.float32],
        positions: NDArray[np.int64],
        past: dict[str, NDArray[np.float32]],
        length: int,
    ) -> dict[str, NDArray[np.float32]]:
        """One run of the decoder with the choice of a token; returns the longer past."""
        feeds = {
            "inputs_embeds": embedded,
            "attention_mask": np.ones((1, length), np.int64),
            "position_ids": positions,
        }
        logits, *present = self._sessions["decoder_model_merged"].run(None, {**feeds, **past})
        logits[0, -1].argmax()
        return dict(zip(self._past, present, strict=True))

"""What a vision language model computes on the chip: encoder, prefill and decoding, with its key-value cache.

The HEF's JSON: `frame` (height, width, channels), `max_frames` of a request, `context` (tokens),
`image_token`, `vocabulary`, `patch`, `temporal`, `merge`, `rescale`, `mean`, `std`; its files: the three
graphs of the Hugging Face layout.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hailo_chip.graphs import Graph
from hailo_chip.hef import Hef
from hailo_common.inference.hf_config import Pixels
from hailo_vision.onnx.families.qwen2_vl.family import mrope_positions
from hailo_vision.onnx.families.qwen2_vl.preprocess import ImageSettings, Patcher
from hailo_vision.onnx.prompt import ImageSpan

Floats = NDArray[np.float32]
_PAST = re.compile(r"past_key_values\.(\d+\.(?:key|value))")


class Brain:
    """One loaded model and what it has read."""

    def __init__(self, hef: Hef) -> None:
        about = hef.about
        self.frame: tuple[int, int, int] = tuple(about["frame"])
        self.context = int(about["context"])
        self.max_frames = int(about.get("max_frames", 2**31))
        self.image_token = int(about["image_token"])
        self.vocabulary = int(about["vocabulary"])
        self._vision, self._embed, self._decoder = (
            Graph(hef.file(name)) for name in ("vision_encoder", "embed_tokens", "decoder")
        )
        self._settings = _settings(about)
        self._patches = Patcher(self._settings, np.dtype(np.float32))
        self._present = {
            name: f"present.{match[1]}" for name in self._decoder.inputs if (match := _PAST.fullmatch(name))
        }
        self._head: tuple[int, int] = tuple(about["head"])
        self.clear()

    @property
    def tokens_per_frame(self) -> int:
        """Tokens that a frame takes in the prompt."""
        return self._settings.tokens(self._grid)

    @property
    def _grid(self) -> tuple[int, int, int]:
        height, width, _ = self.frame
        return 1, height // self._settings.patch, width // self._settings.patch

    def clear(self) -> None:
        """Forget everything that was read."""
        heads, size = self._head
        self._past = {name: np.zeros((1, heads, 0, size), np.float32) for name in self._present}
        self._next = 0
        self.used = 0

    def encode(self, frame: NDArray[np.uint8]) -> Floats:
        """Features of one frame, (tokens, width)."""
        feeds = {"pixel_values": self._patches(frame), "grid_thw": np.array([self._grid], np.int64)}
        features: Floats = self._vision.run(["image_features"], feeds)[0]
        return features

    def count(self, ids: Sequence[int]) -> int:
        """Places for frames among the ids of a prompt."""
        return ids.count(self.image_token)

    def prefill(self, ids: Sequence[int], frames: Sequence[Floats]) -> Floats:
        """Read a prompt with its frames; scores of the next token, (vocabulary,)."""
        expanded: list[int] = []
        places: list[ImageSpan] = []
        for token in ids:
            if token == self.image_token:
                places.append(ImageSpan(len(expanded), self._grid))
                expanded += [token] * self.tokens_per_frame
            else:
                expanded.append(token)
        embedded = self._embedded(expanded)
        for place, features in zip(places, frames, strict=True):
            embedded[0, place.start : place.start + len(features)] = features
        where, following = mrope_positions(len(expanded), places, self._settings.merge)
        logits = self._extend(embedded, where + self._next)
        self._next += following
        return logits

    def step(self, token: int) -> Floats:
        """Read one token; scores of the next one."""
        logits = self._extend(self._embedded([token]), np.full((3, 1, 1), self._next, np.int64))
        self._next += 1
        return logits

    def _embedded(self, ids: Sequence[int]) -> Floats:
        made: Floats = self._embed.run(["inputs_embeds"], {"input_ids": np.array([ids], np.int64)})[0]
        return made

    def _extend(self, embedded: Floats, where: NDArray[np.int64]) -> Floats:
        """Past the context's end the oldest tokens are lost without a word."""
        added = embedded.shape[1]
        room = max(self.context - added, 0)
        past = {name: value[:, :, max(value.shape[2] - room, 0) :] for name, value in self._past.items()}
        length = next(iter(past.values())).shape[2] + added
        feeds: dict[str, NDArray[Any]] = {
            "inputs_embeds": embedded,
            "attention_mask": np.ones((1, length), np.int64),
            "position_ids": where,
        }
        logits, *present = self._decoder.run(["logits", *self._present.values()], {**feeds, **past})
        self._past = dict(zip(self._present, present, strict=True))
        self.used += added
        row: Floats = logits.reshape(-1, logits.shape[-1])[-1].astype(np.float32)
        return row


def _settings(about: Any) -> ImageSettings:
    pixels = Pixels(about["rescale"], tuple(about["mean"]), tuple(about["std"]))
    return ImageSettings(about["patch"], about["temporal"], about["merge"], 1, 1, 3, pixels)

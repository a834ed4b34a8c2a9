"""What the stages of a Florence-2 put out for a few pictures: the limits that a quantisation must cover."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hailo_common.inference.model_dir import ModelDir
from hailo_common.inference.onnx import Graph
from hailo_florence.model.preprocess import read_image_settings
from hailo_florence.onnx.stages import OnnxVisionEncoder

Limits = tuple[float, float]
_MARGIN = 1.5  # the quantisation covers this much more than was seen


@dataclass(frozen=True)
class Seen:
    """Limits of the encoder's input, of the hidden states and of the scores."""

    image_tokens: int
    inputs: Limits
    hidden: Limits
    logits: Limits


def look(folder: ModelDir, words: NDArray[np.float32], prompt: Sequence[int]) -> Seen:
    """Run the model on a few pictures; `words` is the embedding of every token, (vocabulary, d)."""
    settings = read_image_settings(folder)
    vision = OnnxVisionEncoder(Graph(folder.onnx("vision_encoder"), 1), settings)
    encoder, decoder = (Graph(folder.onnx(name), 1) for name in ("encoder_model", "decoder_model_merged"))
    inputs: list[NDArray[Any]] = [words]
    hidden: list[NDArray[Any]] = []
    logits: list[NDArray[Any]] = []
    for image in _images(settings.target.height, settings.target.width):
        features = vision.encode(image)
        sequence = np.concatenate([features, words[None, prompt]], axis=1)
        mask = np.ones(sequence.shape[:2], np.int64)
        feeds = {"inputs_embeds": sequence, "attention_mask": mask}
        hidden += encoder.run(["last_hidden_state"], feeds)
        logits += decoder.run(["logits"], _first_step(decoder, hidden[-1], mask, words[None, prompt]))
        inputs.append(features)
    return Seen(features.shape[1], _limits(inputs), _limits(hidden), _limits(logits))


def _first_step(
    decoder: Graph, hidden: NDArray[Any], mask: NDArray[Any], embeds: NDArray[Any]
) -> dict[str, NDArray[Any]]:
    feeds = {"encoder_hidden_states": hidden, "encoder_attention_mask": mask, "inputs_embeds": embeds}
    for name, tensor in decoder.inputs.items():
        if name not in feeds:  # the cache, empty, and the switch that says so
            shape = [size if size is not None else int(place == 0) for place, size in enumerate(tensor.shape)]
            feeds[name] = np.zeros(shape, tensor.dtype)
    return feeds


def _limits(seen: Sequence[NDArray[Any]]) -> Limits:
    return _MARGIN * min(float(each.min()) for each in seen), _MARGIN * max(
        float(each.max()) for each in seen
    )


def _images(height: int, width: int) -> Iterator[NDArray[np.uint8]]:
    """Noise, a flat colour, and a disc on a ground, (height, width, 3) each."""
    random = np.random.default_rng(1)
    yield random.integers(0, 256, (height, width, 3), dtype=np.uint8)
    yield np.full((height, width, 3), 200, np.uint8)
    y, x = np.mgrid[:height, :width]
    disc = (y - height / 2) ** 2 + (x - width / 2) ** 2 < (min(height, width) / 4) ** 2
    yield np.where(disc[..., None], np.array([220, 20, 30], np.uint8), np.uint8(230)).astype(np.uint8)

"""One short conversation about a grey image at load: proves that the files fit, and warms them up."""

from __future__ import annotations

import numpy as np

from hailo_common.errors import InvalidParameter, ModelError
from hailo_common.inference.model_dir import naming_stage
from hailo_common.inference.sampling import Logits, check_finite
from hailo_vision.onnx.families.family import Family
from hailo_vision.onnx.generation_config import GenerationConfig
from hailo_vision.onnx.prompt import Prompt, Prompts
from hailo_vision.onnx.stages import Floats, Stages
from hailo_vision.protocol import ChatMessage

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
            "chat template: expected to take a system message, and a user message with a picture"
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

"""One pass over a grey picture at load: proves that the files fit together, and warms them up."""

from __future__ import annotations

import numpy as np

from hailo_common.errors import ModelError
from hailo_common.images.resize import ResizeSpec
from hailo_common.inference.model_dir import naming_stage
from hailo_common.inference.sampling import check_finite
from hailo_common.npu.network import QuantizedRow
from hailo_florence.model.generation import GenerationConfig
from hailo_florence.model.prompt import Prompts
from hailo_florence.model.stages import Stages


def warm_up(
    stages: Stages, prompts: Prompts, rules: GenerationConfig, target: ResizeSpec, *, room: int
) -> int:
    """Run each stage once and the decoder twice; returns how many tokens a picture takes.

    `room` is how many tokens picture and prompt may take together. Raises ModelError naming the stage that
    does not fit the others, the tokenizer or the config.
    """
    prompt = prompts.encode("caption")
    with naming_stage("vision encoder"):
        features = stages.vision.encode(np.full((target.height, target.width, 3), 128, np.uint8))
    image_tokens = int(features.shape[-2])
    if image_tokens + len(prompt) > room:
        source = "config.json" if stages.text.length is None else "text encoder"
        raise ModelError(
            f"{source}: expected room for a picture of {image_tokens} tokens and a prompt"
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

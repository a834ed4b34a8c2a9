"""One pass over a grey picture at load: proves that the files fit together, and warms them up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from hailo_common.errors import EngineFailed, ModelError, Unavailable
from hailo_common.images.target import Target
from hailo_florence.backends.stages import Stages
from hailo_florence.prompt import Prompts
from hailo_florence.sampling import Rules, check_finite


def run_trial(stages: Stages, prompts: Prompts, rules: Rules, target: Target) -> int:
    """Run each stage once and the decoder twice; returns how many tokens a picture takes.

    Raises ModelError naming the stage that does not fit the others, the tokenizer or the config.
    """
    with _blaming("vision encoder"):
        features = stages.vision.encode(np.full((target.height, target.width, 3), 128, np.uint8))
    with _blaming("text encoder"):
        hidden = stages.text.encode(features, prompts.encode("caption"))
    with _blaming("decoder"):
        decoding = stages.decoder.start(hidden)
        decoding.step(rules.start)
        scores = decoding.step(rules.eos[0] if rules.bos is None else rules.bos)
        check_finite(scores)
    if scores.size < prompts.vocabulary:
        raise ModelError(
            f"tokenizer.json: expected at most {scores.size} tokens, as the decoder scores, "
            f"not {prompts.vocabulary}"
        )
    return int(features.shape[1])


@contextmanager
def _blaming(stage: str) -> Iterator[None]:
    try:
        yield
    except (MemoryError, ModelError, Unavailable):
        raise
    except EngineFailed as error:
        raise ModelError(f"{stage}: expected finite numbers from a trial run") from error
    except Exception as error:
        raise ModelError(f"{stage}: expected to run on what the stage before it makes, and failed") from error

"""How an answer is chosen, in the terms of HailoRT's `VLM.generate`.

Source of the semantics: `hailort_server/genai/llm/post_process.cpp` and `llm_server.cpp` of HailoRT 5.1.1 and
5.2.0. `frequency_penalty` there is what others call the repetition penalty (1 is none), over the tokens of
answers since the context was cleared; `top_k` has no upper bound and reads past the scores.
"""

from __future__ import annotations

import math
from typing import Any

from hailo_common.errors import NotSupported
from hailo_vision.request import Sampling, VisionRequest

_LEAST_TEMPERATURE = 0.01  # the library's own default; scores divided by much less overflow
_MOST_TOP_K = 256
_RANDOM_SEED = 2**32 - 1
_STEP = 0.05  # scores of likely tokens are about 20, so this much repetition penalty is about one point
_LEAST_PENALTY = 0.01


def refuse(request: VisionRequest) -> None:
    """Raise NotSupported for what the chip cannot do."""
    if request.sampling.bias:
        raise NotSupported("The NPU cannot bias single tokens.", param="logit_bias")
    if request.response_format is not None:
        raise NotSupported("Answers cannot be constrained on the NPU.", param="response_format")


def parameters(sampling: Sampling, longest: int) -> dict[str, Any]:
    """Keyword arguments of `generate`; what is left out is the model's own."""
    made: dict[str, Any] = {"max_generated_tokens": longest, "do_sample": sampling.temperature > 0}
    penalty = repetition(sampling)
    if penalty is not None:
        made["frequency_penalty"] = penalty
    if sampling.temperature > 0:
        made["temperature"] = max(_LEAST_TEMPERATURE, sampling.temperature)
        made["top_p"] = sampling.top_p
        made["top_k"] = min(sampling.top_k or _MOST_TOP_K, _MOST_TOP_K)
        if sampling.seed is not None:
            made["seed"] = sampling.seed % _RANDOM_SEED
    return made


def repetition(sampling: Sampling) -> float | None:
    """The one penalty that the chip knows, None for the model's own.

    OpenAI's two are added to it: a point of either is 0.05 more, whether a token came once or often.
    """
    points = sampling.frequency + sampling.presence
    if sampling.repetition is None and not points:
        return None
    own = 1.0 if sampling.repetition is None else sampling.repetition
    made = max(_LEAST_PENALTY, own + _STEP * points)
    return made if math.isfinite(made) else 1.0

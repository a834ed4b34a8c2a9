"""Our pipelines against transformers' eager mode: same weights, picture and token count, one thread each."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from hailo_common.inference.model_dir import ModelDir
from hailo_florence.engine import make_engine
from hailo_florence.prepare import prepare
from hailo_florence.protocol import FlorenceRequest
from hailo_vision.onnx.engine import make_onnx_engine as make_chat_engine
from hailo_vision.onnx.generate import read_generation_config
from tests.bench.bench_chat import COLD
from tests.bench.bench_models import ChatModel
from tests.bench.bench_service import THREADS, UNCACHED, Row, in_turns
from tests.bench.chat_client import DESCRIBE
from tests.hailo_vision.talk import question, vision_request

PROMPT = "<CAPTION>"
Pair = tuple[Callable[[int], object], Callable[[int], object]]
"""Ours and theirs: each makes so many tokens from a picture at the model's size."""


@contextmanager
def florence(model: Path) -> Iterator[Pair]:
    """Both sides on one Florence-2 folder."""
    import torch  # noqa: PLC0415 (only here, so that the rest of the benchmark runs without it)

    from tests.oracle.reference import Reference  # noqa: PLC0415

    torch.set_num_threads(THREADS)
    reference = Reference(model)
    # As the service does: the vision encoder in 8 bits where that is faster.
    made = prepare({"model_dir": str(model), "threads": THREADS, **UNCACHED})
    with make_engine(made.options) as engine:
        side = engine.load().to_json()["resize"]["width"]
        image = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)

        def ours(tokens: int) -> None:
            request = FlorenceRequest(task="caption", max_length=tokens, min_length=tokens)
            list(engine.run(request, [image]))

        def theirs(tokens: int) -> None:
            # BOS, the answer, and the step that ends it: as many decoder steps as ours.
            reference.generate(image, PROMPT, min_new_tokens=tokens + 2, max_new_tokens=tokens + 2)

        yield ours, theirs


@contextmanager
def chat(model: ChatModel, image_tokens: int) -> Iterator[Pair]:
    """Both sides on one Qwen2-VL folder, with a square picture of `picture_tokens` or what it takes."""
    import torch  # noqa: PLC0415

    from tests.oracle.reference_qwen import Reference  # noqa: PLC0415

    torch.set_num_threads(THREADS)
    reference = Reference(model.folder)
    never = {str(token): -100.0 for token in read_generation_config(ModelDir(model.folder)).eos}
    with make_chat_engine({"model_dir": str(model.folder), "threads": THREADS, **COLD}) as engine:
        info = engine.load().to_json()
        blocks = math.isqrt(min(image_tokens, info["limits"]["image_tokens_max"]))
        side = info["resize"]["factor"] * blocks
        image = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
        asked = question(0, DESCRIBE, logit_bias=never)

        def ours(tokens: int) -> None:
            list(engine.run(vision_request({**asked, "max_tokens": tokens}), [image]))

        def theirs(tokens: int) -> None:
            inputs = reference.inputs(asked["messages"], [Image.fromarray(image)])
            reference.generate(inputs, tokens, min_new_tokens=tokens)

        yield ours, theirs


def against_transformers(name: str, model: Path, *, tokens: int, rounds: int) -> list[Row]:
    """Seconds from a picture at the model's size to `tokens` tokens, p50 of each."""
    with florence(model) as pair:
        ours, theirs = _p50(pair, tokens, rounds)
    label = f"{name}: transformers eager fp32 / our pipeline, {tokens} tokens, p50"
    return [(label, _ratio(theirs, ours))]


def chat_against_transformers(model: ChatModel, *, image_tokens: int, tokens: int, rounds: int) -> list[Row]:
    """Seconds to the first token, then of each of the `tokens` after it, p50 of each."""
    with chat(model, image_tokens) as pair:
        first = _p50(pair, 1, rounds)
        whole = _p50(pair, 1 + tokens, rounds)
    ours, theirs = ((end - begin) / tokens for begin, end in zip(first, whole, strict=True))
    label = f"{model.name}: transformers eager fp32 / our pipeline"
    return [
        (f"{label}, picture and prompt to the first token, p50", _ratio(first[1], first[0])),
        (f"{label}, each of {tokens} further tokens, p50", _ratio(theirs, ours)),
    ]


def _p50(pair: Pair, tokens: int, rounds: int) -> tuple[float, float]:
    """Seconds of ours and of theirs."""
    ours, theirs = pair
    ours(tokens)
    theirs(tokens)
    times = in_turns(rounds, lambda: ours(tokens), lambda: theirs(tokens))
    return statistics.median(times[0]), statistics.median(times[1])


def _ratio(theirs: float, ours: float) -> str:
    return f"{theirs * 1e3:.1f} ms / {ours * 1e3:.1f} ms = **{theirs / ours:.2f}x**"

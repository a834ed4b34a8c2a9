"""Our pipeline against transformers' eager mode: same weights, picture and token count, one thread each."""

from __future__ import annotations

import statistics
from pathlib import Path

import numpy as np

from hailo_florence.engine import make_engine
from tests.bench.bench_service import THREADS, Row, in_turns

PROMPT = "<CAPTION>"


def against_transformers(name: str, model: Path, *, tokens: int, rounds: int) -> list[Row]:
    """Seconds from a picture at the model's size to `tokens` tokens, p50 of each."""
    import torch  # noqa: PLC0415 (only here, so that the rest of the benchmark runs without it)

    from tests.oracle.reference import Reference  # noqa: PLC0415

    torch.set_num_threads(THREADS)
    reference = Reference(model)
    with make_engine({"model_dir": str(model), "threads": THREADS}) as engine:
        side = engine.load()["picture"]["width"]
        picture = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
        request = {"task": "caption", "max_length": tokens, "min_length": tokens, "temperature": 0.0}

        def ours() -> None:
            list(engine.run(request, [picture]))

        def theirs() -> None:
            # BOS, the answer, and the step that ends it: as many decoder steps as ours.
            reference.generate(picture, PROMPT, min_new_tokens=tokens + 2, max_new_tokens=tokens + 2)

        ours()
        theirs()
        times = in_turns(rounds, ours, theirs)
    p50 = [statistics.median(part) for part in times]
    label = f"{name}: transformers eager fp32 / our pipeline, {tokens} tokens, p50"
    return [(label, f"{p50[1] * 1e3:.0f} ms / {p50[0] * 1e3:.0f} ms = **{p50[1] / p50[0]:.2f}x**")]

"""The shortest time in which this machine could run Florence-2 in fp32 on one thread.

A roofline: each product with constant weights (MatMul, Gemm, Conv) takes at least its operations over the
fastest matrix product seen here, and at least its weights over the fastest reading of weights seen here (a
product of a vector with a matrix as large as all that one decoder step reads). The products are counted in a
profile of real sessions, whose graphs are left as the files have them; attention's own products,
normalisation and activations count nothing. So no fp32 pipeline can be quicker, and what transformers takes
over this time is the most by which one could win.
"""

from __future__ import annotations

import json
import math
import statistics
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnx import TensorProto, helper, numpy_helper

from tests.bench.bare import Bare, session_options
from tests.bench.bench_pipeline import florence
from tests.bench.bench_service import THREADS, Row, bare_and_tokens, in_turns

_FLOAT_BYTES = 4
_LARGEST = 3  # sizes of products that are tried for the highest speed
_WIDTH = 4096


@dataclass(frozen=True)
class Product:
    """(rows, inner) times constant weights (inner, columns)."""

    rows: int
    inner: int
    columns: int

    @property
    def flops(self) -> int:
        """Floating-point operations."""
        return 2 * self.rows * self.inner * self.columns

    @property
    def nbytes(self) -> int:
        """Bytes of the weights."""
        return _FLOAT_BYTES * self.inner * self.columns

    def seconds(self, flops: float, bandwidth: float) -> float:
        """The least it takes at `flops` operations and `bandwidth` bytes a second."""
        return max(self.flops / flops, self.nbytes / bandwidth)


def roofline(name: str, model: Path, image: bytes, *, tokens: int, rounds: int) -> list[Row]:
    """Speeds measured here, what the model needs, and transformers' time over the shortest possible one."""
    steps = tokens + 2  # start token and BOS; see `bench_pipeline.florence`
    work = counted(model, image, steps)
    step = sum(product.nbytes for product in work if product.rows == 1) // steps
    with florence(model) as (_, theirs):
        theirs(tokens)
        taken, flops, bandwidth = _measured(partial(theirs, tokens), work, step, rounds)
    least = sum(product.seconds(flops, bandwidth) for product in work)
    many = sum(product.flops for product in work if product.rows > 1)
    return [
        (
            "one thread, fp32: fastest matrix product / fastest reading of weights",
            f"{flops / 1e9:.0f} GFLOP/s / {bandwidth / 1e9:.1f} GB/s",
        ),
        (
            f"{name}: picture and prompt / weights read by one decoder step",
            f"{many / 1e9:.1f} GFLOP / {step / 1e6:.0f} MB",
        ),
        (
            f"{name}: transformers eager fp32, {tokens} tokens / shortest possible time in fp32 here",
            f"{taken * 1e3:.0f} ms / {least * 1e3:.0f} ms = **{taken / least:.2f}x** at most",
        ),
    ]


def _measured(
    theirs: Callable[[], object], work: list[Product], step: int, rounds: int
) -> tuple[float, float, float]:
    """Seconds of transformers (p50), operations and bytes a second (the best), all in turns."""
    shares: Counter[Product] = Counter()
    for product in work:
        shares[product] += product.flops * (product.rows > 1)
    large = [product for product, _ in shares.most_common(_LARGEST)]
    vector = Product(1, _WIDTH, step // _FLOAT_BYTES // _WIDTH)
    tried = [(product, run) for product in (*large, vector) for run in runners(product)]
    for _, run in tried:
        run()
    times = in_turns(rounds, theirs, *(run for _, run in tried))
    best = [(product, min(seconds)) for (product, _), seconds in zip(tried, times[1:], strict=True)]
    flops = max(product.flops / seconds for product, seconds in best)
    bandwidth = max(product.nbytes / seconds for product, seconds in best if product is vector)
    return statistics.median(times[0]), flops, bandwidth


def runners(product: Product) -> list[Callable[[], object]]:
    """The product in ONNX Runtime and in PyTorch, on random numbers."""
    dice = np.random.default_rng(0)
    left = dice.random((product.rows, product.inner), np.float32)
    weights = dice.random((product.inner, product.columns), np.float32)
    node = helper.make_node("MatMul", ["left", "weights"], ["made"])
    graph = helper.make_graph(
        [node],
        "product",
        [helper.make_tensor_value_info("left", TensorProto.FLOAT, left.shape)],
        [helper.make_tensor_value_info("made", TensorProto.FLOAT, [product.rows, product.columns])],
        [numpy_helper.from_array(weights, "weights")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(made)
    session = ort.InferenceSession(made.SerializeToString(), session_options(THREADS))
    tensors = torch.from_numpy(left), torch.from_numpy(weights)
    return [partial(session.run, None, {"left": left}), partial(torch.mm, *tensors)]


def counted(model: Path, image: bytes, steps: int) -> list[Product]:
    """Every product with constant weights of a picture, its prompt and so many decoder steps."""
    bare, _ = bare_and_tokens(model, image, 1)
    with tempfile.TemporaryDirectory() as folder:
        profiled = Bare(model, bare.target, bare.prompt, THREADS, Path(folder))
        profiled.run(profiled.decode(image), [0] * steps)
        return [
            product
            for profile in profiled.profiles().values()
            for product in _products(json.loads(profile.read_text()))
        ]


def _products(events: list[dict[str, Any]]) -> Iterator[Product]:
    """Those of one profile. Weights have no leading dimensions, unlike what attention multiplies."""
    for event in events:
        told = event.get("args", {})
        shapes = [shape for entry in told.get("input_type_shape", ()) for shape in entry.values()]
        if told.get("op_name") in ("MatMul", "Gemm") and len(shapes[1]) == 2:
            left, weights = shapes[:2]
            yield Product(math.prod(left[:-1]), left[-1], math.prod(weights) // left[-1])
        elif told.get("op_name") == "Conv":
            (made,) = (shape for entry in told["output_type_shape"] for shape in entry.values())
            yield Product(math.prod(made[2:]), math.prod(shapes[1][1:]), shapes[1][0])

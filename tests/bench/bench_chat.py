"""hailo-vision against bare sessions: time to first token, time per token, and what a request costs beside.

Both caches are off, so that every request does all the work.
"""

from __future__ import annotations

import json
import time
from functools import partial

import numpy as np

from hailo_common.images.resize import ResizeSpec
from hailo_common.inference.model_dir import ModelDir
from hailo_vision.onnx.engine import make_onnx_engine
from hailo_vision.onnx.families.qwen2_vl.config import ModelConfig, read_model_config
from hailo_vision.onnx.families.qwen2_vl.family import Qwen2VL, mrope_positions
from hailo_vision.onnx.prompt import Prompts
from tests.bench.bare_chat import BareChat, Cut, Script
from tests.bench.bench_models import ChatModel
from tests.bench.bench_service import THREADS, Row, in_turns, service, take_turns
from tests.bench.chat_client import DESCRIBE, ChatClient, ask, p50_ms, request, streamed
from tests.fake_chat import FakeChat
from tests.hailo_florence.api.running import FAKE_VISION, started
from tests.hailo_vision.conversations import ask_for
from tests.hailo_vision.talk import question, vision_request
from tests.limits import decode

COLD = {"conversation_cache_mb": 0, "picture_cache_mb": 0}


def bare_chat(model: ChatModel, image: bytes, tokens: int) -> tuple[BareChat, int]:
    """Bare sessions that do what the service will, and how many tokens it will answer: at most `tokens`."""
    folder = ModelDir(model.folder)
    shape = read_model_config(folder)
    asked = question(0, DESCRIBE, max_tokens=tokens, **model.extra)
    with make_onnx_engine({"model_dir": str(model.folder), "threads": THREADS, **COLD}) as engine:
        info = engine.load().to_json()
        target = ResizeSpec.from_json(info["resize"])
        made = decode(image, target)
        pixels = np.frombuffer(made.rgb, np.uint8).reshape(made.height, made.width, 3)
        answer = ask_for(engine, asked, [pixels])
    family = Qwen2VL(folder, info["limits"]["max_model_len"])
    messages = vision_request(asked).messages
    prompt = Prompts(folder, shape.image_token).make(messages, [family.image_input(pixels)])
    places, following = mrope_positions(len(prompt.ids), prompt.spans, shape.merge)
    ids = np.array([prompt.ids])
    script = Script(ids, places, prompt.spans[0].start, following, answer.tokens)
    return BareChat(model.folder, target, _cut(shape), script, THREADS), len(answer.tokens)


def _cut(shape: ModelConfig) -> Cut:
    return Cut(shape.patch, shape.temporal, shape.merge)


def against_bare(model: ChatModel, image: bytes, *, tokens: int, rounds: int) -> list[Row]:
    """The service over HTTP beside (bare sessions + bare picture decode), same tokens, p50 of each."""
    bare, count = bare_chat(model, image, tokens)
    settings = {"max_tokens": tokens, **model.extra}
    stream, whole = streamed([ask(image)], **settings), request([ask(image)], **settings)
    with service(model.folder, "hailo_vision", **COLD) as running:
        client = ChatClient(running.port)

        def streaming() -> tuple[float, float]:
            told = client.stream(stream)
            assert (told.tokens, told.cached_tokens) == (count, 0), told
            return told.first, told.whole

        def posting() -> tuple[float, float]:
            began = time.perf_counter()
            assert client.post(whole) == 200
            return 0.0, time.perf_counter() - began

        functions = (streaming, posting, partial(bare.answer, image))
        take_turns(2, *functions)
        streams, posts, least = take_turns(rounds, *functions)
    return _rows(model.name, count, streams, posts, least)


def _rows(name: str, tokens: int, *times: list[tuple[float, float]]) -> list[Row]:
    first = [p50_ms(first for first, _ in side) for side in times]
    each = [p50_ms((whole - first) / max(1, tokens - 1) for first, whole in side) for side in times]
    whole = [p50_ms(whole for _, whole in side) for side in times]
    rounds = len(times[0])
    beside = "bare sessions + picture decode"
    return [
        (
            f"{name}: time to first token, service / {beside}, p50 of {rounds}",
            f"{first[0]:.1f} ms / {first[2]:.1f} ms = **{first[0] / first[2]:.2f}**",
        ),
        (
            f"{name}: each further token, the same, {tokens} tokens",
            f"{each[0]:.2f} ms / {each[2]:.2f} ms = **{each[0] / each[2]:.2f}**",
        ),
        (
            f"{name}: whole answer without streaming, service − ({beside}), p50 of {rounds}",
            f"{whole[1]:.1f} ms − {whole[2]:.1f} ms = **{whole[1] - whole[2]:.2f} ms**",
        ),
    ]


def beside_decoding(image: bytes, rounds: int = 200) -> list[Row]:
    """What a request with a picture costs where the engine answers at once, beside decoding the picture."""
    order = request([ask(image, json.dumps({"count": 1}))])
    target = ResizeSpec.from_json(FakeChat({}).load().to_json()["resize"])
    settings = {"log_level": "warning", "picture_cache_mb": 0}  # each request decodes its picture
    with started(FAKE_VISION, "--settings", json.dumps(settings)) as running:
        client = ChatClient(running.port)
        assert client.post(order) == 200
        ours, least = in_turns(rounds, partial(client.post, order), partial(decode, image, target))
    p50 = p50_ms(ours), p50_ms(least)
    return [
        (
            f"engine that answers at once, one picture: service − picture decode, p50 of {rounds}",
            f"{p50[0]:.2f} ms − {p50[1]:.2f} ms = **{p50[0] - p50[1]:.2f} ms**",
        )
    ]

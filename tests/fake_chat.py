"""A fake engine that speaks the events of a conversation. It runs in the real engine process."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hailo_common.engine.contract import EngineInfo, EngineStarted, Event, RgbImage, StageInfo
from hailo_common.errors import InvalidParameter
from hailo_common.images.resize import ResizeSpec
from hailo_vision.protocol import VisionRequest, VisionResult
from tests.fakes import FakeEngine
from tests.hailo_vision.talk import request_fields

MODEL = "fake-vl"
CONTEXT = 2048
IMAGE_TOKENS = 4


def make_engine(options: Mapping[str, Any]) -> FakeChat:
    """The factory that the supervisor names as `tests.fake_chat:make_engine`."""
    return FakeChat(options)


class FakeChat(FakeEngine):
    """Answers with what the last message asks for.

    A last text that is a JSON object is an order: `words` (list, answered one a token) or `count` and `word`;
    `random` words drawn with the seed; `step_s`, `prefill_s`; `act` as `FakeEngine` has it; `dropped`;
    `echo` (the engine request as JSON is the answer); `trace` (a file that gets a line for every token). Any
    other last text is answered word by word.
    """

    request_type = VisionRequest

    def load(self) -> EngineInfo:
        """As `FakeEngine.load`, with a smart target."""
        return replace(
            super().load(),
            model=self.options.get("model", MODEL),
            stages=tuple(StageInfo(name, "fake", "a test") for name in ("vision", "decoder")),
            resize=ResizeSpec(fit="smart", factor=28, min_pixels=3136, max_pixels=28 * 28 * 64),
            limits={"max_model_len": CONTEXT, "image_tokens_max": 64, "max_images": 8},
            capabilities={
                "vision": True,
                "constrained_json": self.options.get("constrained", False),
                "template_tools": self.options.get("template_tools", False),
            },
        )

    def run(self, request: VisionRequest, images: Sequence[RgbImage]) -> Iterator[Event]:
        """The events of one answer."""
        fields = request_fields(request)
        order = _order(fields)
        prompt = len(json.dumps(fields["messages"]).split()) + IMAGE_TOKENS * len(images)
        if prompt > CONTEXT:
            raise InvalidParameter(
                f"The conversation takes {prompt} tokens, but the model has room for {CONTEXT}.",
                code="context_length_exceeded",
                param="messages",
            )
        self._act(order.get("act") or "")
        return self._answer(fields, order, prompt, len(images))

    def _answer(
        self, request: Mapping[str, Any], order: Mapping[str, Any], prompt: int, images: int
    ) -> Iterator[Event]:
        counts = {
            "prompt_tokens": prompt,
            "image_tokens": IMAGE_TOKENS * images,
            "cached_tokens": order.get("cached", 0),
        }
        limit = request["max_tokens"]
        dropped, loose = order.get("dropped", 0), self.options.get("loose", False)
        yield EngineStarted(**counts, dropped_messages=dropped, max_tokens=limit, loose=loose)
        for _ in range(images):
            yield ""
        time.sleep(order.get("prefill_s", 0))
        self._act(order.get("late_act") or "")
        said: list[str] = []
        words = _words(request, order)
        step_s = order.get("step_s", self.options.get("step_s", 0))
        for word in words[:limit]:
            if step_s:
                time.sleep(step_s)
            _trace(order, word)
            said.append(word)
            yield word
        whole = len(said) == len(words) and (limit is None or len(said) < limit)
        if whole:
            yield ""
        yield VisionResult(
            **counts,
            text="".join(said),
            finish_reason="stop" if whole else "length",
            completion_tokens=len(said) + whole,
            cached_images=0,
            vision_seconds=0.001 * images,
            prefill_seconds=0.002,
            decode_seconds=0.003,
            first_token_seconds=0.004,
        )


def _order(request: Mapping[str, Any]) -> dict[str, Any]:
    last = request["messages"][-1]["content"]
    text = "".join(part["text"] for part in last if part["type"] == "text")
    # The retry of a structured answer adds messages; the order is then further up.
    for message in request["messages"]:
        for part in message["content"]:
            if part.get("text", "").startswith('{"sticky"'):
                tried = sum(other["role"] == "assistant" for other in request["messages"])
                order: dict[str, Any] = json.loads(part["text"])
                return {"words": order["sticky"][min(tried, len(order["sticky"]) - 1)], **order}
    try:
        value, _ = json.JSONDecoder().raw_decode(text)
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {"words": [f"{word} " for word in text.split()]}


def _words(request: Mapping[str, Any], order: Mapping[str, Any]) -> list[str]:
    if "echo" in order:
        return [json.dumps(request)]
    if "random" in order:
        dice = random.Random(request["seed"])
        return [f"{dice.randrange(1000)} " for _ in range(order["random"])]
    if "count" in order:
        return [order.get("word", "word ")] * order["count"]
    words = order.get("words", [])
    return [words] if isinstance(words, str) else list(words)


def _trace(order: Mapping[str, Any], word: str) -> None:
    if "trace" in order:
        with Path(order["trace"]).open("a") as file:
            file.write(f"{time.monotonic()} {word}\n")

"""A second question about a picture: how soon its answer begins, with and without the caches."""

from __future__ import annotations

import io
from dataclasses import dataclass

from PIL import Image, ImageEnhance

from tests.bench.bench_chat import COLD
from tests.bench.bench_models import ChatModel
from tests.bench.bench_service import Row, service
from tests.bench.chat_client import ChatClient, ask, p50_ms, streamed
from tests.hailo_common.images.make import encode

NEXT = "How many objects are there?"


@dataclass(frozen=True)
class Round:
    """Seconds to the first token: the first question, the next one, and that without caches."""

    question: float
    follow_up: float
    without: float


def follow_up(model: ChatModel, image: bytes, *, tokens: int, rounds: int) -> list[Row]:
    """Time to first token of a follow-up question over that of its first question, p50 of each.

    Every round has a new picture, and the two services, one without caches, get the same requests in turns.
    """
    with (
        service(model.folder, "hailo_vision") as warm,
        service(model.folder, "hailo_vision", **COLD) as cold,
    ):
        clients = ChatClient(warm.port), ChatClient(cold.port)
        asked = [_ask(model, *clients, other, tokens) for other in different(image, rounds + 1)]
    first, again, without = (
        p50_ms(getattr(made, name) for made in asked[1:]) for name in ("question", "follow_up", "without")
    )
    label = f"{model.name}: time to first token, follow-up question"
    return [
        (
            f"{label} with the caches / first question, p50 of {rounds}",
            f"{again:.1f} ms / {first:.1f} ms = **{again / first:.2f}**",
        ),
        (
            f"{label} without caches / first question",
            f"{without:.1f} ms / {first:.1f} ms = **{without / first:.2f}**",
        ),
    ]


def _ask(model: ChatModel, warm: ChatClient, cold: ChatClient, image: bytes, tokens: int) -> Round:
    question = warm.stream(streamed([ask(image)], max_tokens=tokens, **model.extra))
    turns = [
        ask(image),
        {"role": "assistant", "content": question.text},
        {"role": "user", "content": NEXT},
    ]
    body = streamed(turns, max_tokens=tokens, **model.extra)
    again, without = warm.stream(body), cold.stream(body)
    assert again.text == without.text, (again, without)
    # A first question finds the beginning of its prompt at most, a follow-up the picture, too.
    assert question.cached_tokens + again.image_tokens <= again.cached_tokens, (question, again)
    assert not without.cached_tokens, without
    return Round(question.first, again.first, without.first)


def different(image: bytes, count: int) -> list[bytes]:
    """JPEG files of one picture, each a little brighter than the one before."""
    with Image.open(io.BytesIO(image)) as opened:
        bright = ImageEnhance.Brightness(opened.convert("RGB"))
        made = (bright.enhance(0.8 + 0.4 * number / count) for number in range(count))
        return [encode(image, "JPEG", quality=88) for image in made]

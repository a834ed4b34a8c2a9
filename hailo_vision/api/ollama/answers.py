"""Answers as Ollama's API gives them, whole or line by line, with its counts and durations."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from hailo_common.web.streams.event_stream import line
from hailo_vision.protocol import VisionResult


def created_at() -> str:
    """Now, as these answers are stamped; never for measuring."""
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def counts(began: float, result: VisionResult) -> dict[str, Any]:
    """Tokens, and nanoseconds from the request's admission on; images count as part of the prompt."""
    total = time.monotonic() - began
    return {
        "total_duration": _ns(total),
        "load_duration": _ns(result.load_seconds),
        "prompt_eval_count": result.prompt_tokens,
        "prompt_eval_duration": _ns(result.vision_seconds + result.prefill_seconds),
        "eval_count": result.completion_tokens,
        "eval_duration": _ns(result.decode_seconds),
    }


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)


class OllamaAnswer:
    """One answer; `chat` is for `/api/chat`, whose text stands in a message, else it is `response`."""

    def __init__(self, model: str, began: float, *, chat: bool) -> None:
        self._model = model
        self._began = began
        self._chat = chat

    def whole(self, result: VisionResult) -> dict[str, Any]:
        """See `AnswerWriter.whole`."""
        return self._end(result, result.text)

    def first(self) -> bytes:
        """See `AnswerWriter.first`."""
        return b""

    def texts(self, texts: Sequence[str]) -> bytes:
        """See `AnswerWriter.texts`."""
        head, tail = json.dumps(self._head("\0"), separators=(",", ":")).encode().split(b'"\\u0000"')
        middle = b',"done":false}\n'
        return b"".join([head + json.dumps(text).encode() + tail[:-1] + middle for text in texts])

    def last(self, result: VisionResult) -> bytes:
        """See `AnswerWriter.last`."""
        return line(self._end(result, ""))

    def _head(self, text: str) -> dict[str, Any]:
        head: dict[str, Any] = {"model": self._model, "created_at": created_at()}
        return head | (
            {"message": {"role": "assistant", "content": text}} if self._chat else {"response": text}
        )

    def _end(self, result: VisionResult, text: str) -> dict[str, Any]:
        end = {"done": True, "done_reason": result.finish_reason}
        return {**self._head(text), **end, **counts(self._began, result)}

    def loaded(self, reason: str) -> dict[str, Any]:
        """The answer to a request without a prompt."""
        return {**self._head(""), "done": True, "done_reason": reason}

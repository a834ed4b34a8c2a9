"""Answers as Ollama's API gives them, whole or line by line, with its counts and durations."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from hailo_common.engine.contract import EngineStarted
from hailo_common.web.streams.event_stream import line
from hailo_vision.api.tools.calls import CallBegun, CallEvent, Said, ToolCall
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


def _call(index: int, call: ToolCall) -> dict[str, Any]:
    function = {"index": index, "name": call.name, "arguments": call.given}
    return {"id": f"call_{call.id}", "function": function}


class OllamaAnswer:
    """One answer; `chat` is for `/api/chat`, whose text stands in a message, else it is `response`."""

    def __init__(self, model: str, began: float, *, chat: bool) -> None:
        self._model = model
        self._began = began
        self._chat = chat
        self._open: CallBegun | None = None

    def whole(self, said: Said) -> dict[str, Any]:
        """See `AnswerWriter.whole`."""
        end = self._end(said, said.text)
        if said.calls:
            end["message"]["tool_calls"] = [_call(index, call) for index, call in enumerate(said.calls)]
        return end

    def first(self, started: EngineStarted | None) -> bytes:  # noqa: ARG002
        """See `AnswerWriter.first`."""
        return b""

    def texts(self, texts: Sequence[str]) -> bytes:
        """See `AnswerWriter.texts`."""
        head, tail = json.dumps(self._head("\0"), separators=(",", ":")).encode().split(b'"\\u0000"')
        middle = b',"done":false}\n'
        return b"".join([head + json.dumps(text).encode() + tail[:-1] + middle for text in texts])

    def call(self, event: CallEvent) -> bytes:
        """A line with a whole call: arguments are an object here, which cannot come in pieces."""
        if not isinstance(event, CallBegun):
            return b""
        told, self._open = self._told(), event
        return told

    def _told(self) -> bytes:
        """The line of the call that has ended, if there is one."""
        ended, self._open = self._open, None
        if ended is None:
            return b""
        value = self._head("")
        value["message"]["tool_calls"] = [_call(ended.index, ended.call)]
        return line({**value, "done": False})

    def last(self, said: Said) -> bytes:
        """See `AnswerWriter.last`."""
        return self._told() + line(self._end(said, ""))

    def _head(self, text: str) -> dict[str, Any]:
        head: dict[str, Any] = {"model": self._model, "created_at": created_at()}
        return head | (
            {"message": {"role": "assistant", "content": text}} if self._chat else {"response": text}
        )

    def _end(self, said: Said, text: str) -> dict[str, Any]:
        # What ended an answer, not what is in it: a call ends with "stop" there.
        end = {"done": True, "done_reason": said.result.finish_reason}
        return {**self._head(text), **end, **counts(self._began, said.result)}

    def loaded(self, reason: str) -> dict[str, Any]:
        """The answer to a request without a prompt."""
        return {**self._head(""), "done": True, "done_reason": reason}

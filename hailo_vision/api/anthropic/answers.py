"""Answers as Anthropic's API gives them: content in blocks, whole or as events."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hailo_common.engine.contract import EngineStarted
from hailo_common.web.streams.event_stream import event
from hailo_vision.api.tools.calls import CallBegun, CallEvent, Said, ToolCall
from hailo_vision.protocol import VisionResult


def _event(kind: str, **fields: Any) -> bytes:
    return event({"type": kind, **fields}, kind)


def _usage(prompt: int, cached: int, answer: int) -> dict[str, int]:
    """Tokens; what was computed before is counted apart here."""
    return {
        "input_tokens": prompt - cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": cached,
        "output_tokens": answer,
    }


def _counted(result: VisionResult) -> dict[str, int]:
    return _usage(result.prompt_tokens, result.cached_tokens, result.completion_tokens)


def _reason(said: Said) -> str:
    if said.result.finish_reason == "length":
        return "max_tokens"
    return "tool_use" if said.calls else "end_turn"


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _use(call: ToolCall) -> dict[str, Any]:
    return {"type": "tool_use", "id": f"toolu_{call.id}", "name": call.name, "input": call.given}


@dataclass
class Message:
    """One answer, whole or block by block; `model` is what the request calls it."""

    model: str
    id: str = field(default_factory=lambda: f"msg_{uuid.uuid4().hex[:24]}")
    _index: int = -1
    _open: str = ""

    def whole(self, said: Said) -> dict[str, Any]:
        """See `AnswerWriter.whole`."""
        calls = [_use(call) for call in said.calls]
        content = [_text(said.text), *calls] if said.text or not calls else calls
        return self._head(content, _reason(said), _counted(said.result))

    def first(self, started: EngineStarted | None) -> bytes:
        """See `AnswerWriter.first`."""
        counted = _usage(started.prompt_tokens, started.cached_tokens, 0) if started else _usage(0, 0, 0)
        return _event("message_start", message=self._head([], None, counted)) + _event("ping")

    def texts(self, texts: Sequence[str]) -> bytes:
        """See `AnswerWriter.texts`."""
        begun = b"" if self._open == "text" else self._begin("text", _text(""))
        return begun + b"".join([self._delta("text_delta", text=text) for text in texts])

    def call(self, event: CallEvent) -> bytes:
        """See `AnswerWriter.call`."""
        if isinstance(event, CallBegun):
            use = {**_use(event.call), "input": {}}
            return self._begin("tool_use", use) + self._delta("input_json_delta", partial_json="")
        return self._delta("input_json_delta", partial_json=event.text)

    def last(self, said: Said) -> bytes:
        """See `AnswerWriter.last`."""
        empty = self._begin("text", _text("")) if self._index < 0 else b""
        delta = {"stop_reason": _reason(said), "stop_sequence": None}
        counted = _counted(said.result)
        end = _event("message_delta", delta=delta, usage=counted) + _event("message_stop")
        return empty + self._end() + end

    def _begin(self, kind: str, block: dict[str, Any]) -> bytes:
        ended = self._end()
        self._index, self._open = self._index + 1, kind
        return ended + _event("content_block_start", index=self._index, content_block=block)

    def _delta(self, kind: str, **fields: str) -> bytes:
        return _event("content_block_delta", index=self._index, delta={"type": kind, **fields})

    def _end(self) -> bytes:
        ended, self._open = self._open, ""
        return _event("content_block_stop", index=self._index) if ended else b""

    def _head(
        self, content: list[dict[str, Any]], reason: str | None, counted: dict[str, int]
    ) -> dict[str, Any]:
        return {
            "id": self.id,
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": content,
            "stop_reason": reason,
            "stop_sequence": None,
            "usage": counted,
        }

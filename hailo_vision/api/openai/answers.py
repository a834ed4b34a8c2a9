"""What goes back over the wire: OpenAI's objects, event streams, and `performance`: where the time went."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hailo_common import __version__
from hailo_common.engine.contract import EngineInfo, EngineStarted
from hailo_common.web.streams.event_stream import DONE, event
from hailo_vision.api.catalogue import unix_now
from hailo_vision.api.tools.calls import CallBegun, CallEvent, Said, ToolCall
from hailo_vision.protocol import VisionResult


@dataclass(frozen=True)
class ResponseMeta:
    """What all parts of one answer have in common."""

    model: str
    fingerprint: str
    id: str
    created: int = field(default_factory=unix_now)
    began: float = field(default_factory=time.monotonic)

    def head(self, kind: str) -> dict[str, Any]:
        """The first fields of an object."""
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
        }


def response_meta(info: EngineInfo, model: str, began: float, *, prefix: str = "chatcmpl-") -> ResponseMeta:
    """What the parts of one answer have in common: `model` is what the request calls it, `began` when it
    came; its id begins with `prefix`.
    """
    return ResponseMeta(model, fingerprint(info), f"{prefix}{uuid.uuid4().hex}", began=began)


def fingerprint(info: EngineInfo) -> str:
    """OpenAI's `system_fingerprint`: another one wherever the same request may be answered differently."""
    stages = [[stage.name, stage.backend] for stage in info.stages]
    seen = repr((__version__, info.model, stages)).encode()
    return "fp_" + hashlib.sha256(seen).hexdigest()[:12]


def usage(result: VisionResult) -> dict[str, Any]:
    """Tokens as they were counted, those of images included."""
    prompt, answer = result.prompt_tokens, result.completion_tokens
    return {
        "prompt_tokens": prompt,
        "completion_tokens": answer,
        "total_tokens": prompt + answer,
        "prompt_tokens_details": {
            "cached_tokens": result.cached_tokens,
            "image_tokens": result.image_tokens,
        },
    }


def performance(began: float, result: VisionResult) -> dict[str, Any]:
    """Where the time went; `total_ms` counts from the request's admission, waiting and decoding included."""
    return {
        "inference_time_ms": max(1, round(result.seconds * 1000)),
        "load_time_ms": round(result.load_seconds * 1000),
        "total_ms": max(1, round((time.monotonic() - began) * 1000)),
        "time_to_first_token_ms": _ms(result.first_token_seconds),
        "vision_ms": _ms(result.vision_seconds),
        "prefill_ms": _ms(result.prefill_seconds),
        "decode_ms": _ms(result.decode_seconds),
        "tokens_per_second": round(result.tokens_per_second, 2),
        "image_tokens": result.image_tokens,
        "cached_pictures": result.cached_images,
    }


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)


def _call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": f"call_{call.id}", "type": "function", "function": function}


class Completion:
    """One answer as OpenAI's API gives it, whole or as server-sent events.

    All that does not change from token to token is serialised once.
    """

    def __init__(self, meta: ResponseMeta, *, include_usage: bool) -> None:
        self._meta = meta
        self._include_usage = include_usage
        marked = self._chunk({"content": "\0"}, None)
        before, _, after = marked.partition(json.dumps("\0").encode())
        self._before, self._after = before, after

    def whole(self, said: Said) -> dict[str, Any]:
        """See `AnswerWriter.whole`."""
        calls = [_call(call) for call in said.calls]
        message = {"role": "assistant", "content": said.text if said.text or not calls else None}
        choice = {
            "index": 0,
            "message": {**message, "refusal": None, **({"tool_calls": calls} if calls else {})},
            "logprobs": None,
            "finish_reason": said.finish_reason,
        }
        return {
            **self._meta.head("chat.completion"),
            "choices": [choice],
            "usage": usage(said.result),
            "performance": performance(self._meta.began, said.result),
        }

    def first(self, started: EngineStarted | None) -> bytes:  # noqa: ARG002
        """The chunk with the role."""
        return self._chunk({"role": "assistant", "content": "", "refusal": None}, None)

    def texts(self, texts: Sequence[str]) -> bytes:
        """A chunk for each text. The escapes of `json.dumps` keep every line end out of the event."""
        before, after = self._before, self._after
        return b"".join([before + json.dumps(text).encode() + after for text in texts])

    def call(self, event: CallEvent) -> bytes:
        """A chunk with the name of a call, or with the next piece of its arguments."""
        if isinstance(event, CallBegun):
            delta = {"index": event.index, **_call(replace(event.call, arguments=""))}
        else:
            delta = {"index": event.index, "function": {"arguments": event.text}}
        return self._chunk({"tool_calls": [delta]}, None)

    def last(self, said: Said) -> bytes:
        """The chunk with the finish reason, the one with the usage where it was asked for, and the end."""
        more = {"performance": performance(self._meta.began, said.result)}
        end = self._chunk({}, said.finish_reason, more)
        if self._include_usage:
            end += event({**self._head(), "choices": [], "usage": usage(said.result)})
        return end + DONE

    def _head(self) -> dict[str, Any]:
        return self._meta.head("chat.completion.chunk")

    def _chunk(
        self, delta: dict[str, Any], reason: str | None, more: Mapping[str, Any] | None = None
    ) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        without = {"usage": None} if self._include_usage else {}
        return event({**self._head(), "choices": [choice], **without, **(more or {})})

"""What goes back over the wire: OpenAI's objects, event streams, and `performance`: where the time went."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import time
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from hailo_common import __version__
from hailo_common.engine.contract import EngineInfo
from hailo_common.errors import ServiceError
from hailo_common.web.body import until_disconnect
from hailo_common.web.state import request_state_of
from hailo_vision.api.catalogue import unix_now
from hailo_vision.api.openai.errors import openai_format
from hailo_vision.protocol import VisionResult


@dataclass(frozen=True)
class ResponseMeta:
    """What all parts of one answer have in common."""

    model: str
    fingerprint: str
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
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


def response_meta(info: EngineInfo, began: float) -> ResponseMeta:
    """What the parts of one answer have in common; `began` is its admission's monotonic time."""
    return ResponseMeta(info.model, fingerprint(info), began=began)


def fingerprint(info: EngineInfo) -> str:
    """OpenAI's `system_fingerprint`: another one wherever the same request may be answered differently."""
    stages = [[stage.name, stage.backend] for stage in info.stages]
    seen = repr((__version__, info.model, stages)).encode()
    return "fp_" + hashlib.sha256(seen).hexdigest()[:12]


def completion(meta: ResponseMeta, result: VisionResult) -> dict[str, Any]:
    """A whole answer."""
    message = {"role": "assistant", "content": result.text, "refusal": None}
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": result.finish_reason,
    }
    return {
        **meta.head("chat.completion"),
        "choices": [choice],
        "usage": usage(result),
        "performance": performance(meta.began, result),
    }


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
    decoding = result.decode_seconds
    # The first token comes with the prefill.
    steps = result.completion_tokens - 1
    rate = steps / decoding if steps > 0 and decoding else 1 / max(result.seconds, 1e-3)
    return {
        "inference_time_ms": max(1, round(result.seconds * 1000)),
        "load_time_ms": 0,
        "total_ms": max(1, round((time.monotonic() - began) * 1000)),
        "time_to_first_token_ms": _ms(result.first_token_seconds),
        "vision_ms": _ms(result.vision_seconds),
        "prefill_ms": _ms(result.prefill_seconds),
        "decode_ms": _ms(decoding),
        "tokens_per_second": round(rate, 2),
        "image_tokens": result.image_tokens,
        "cached_pictures": result.cached_images,
    }


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)


class Chunks:
    """One answer as server-sent events. All that does not change from token to token is serialised once."""

    def __init__(self, meta: ResponseMeta, *, include_usage: bool) -> None:
        self._meta = meta
        self._include_usage = include_usage
        marked = self._chunk({"content": "\0"}, None)
        before, _, after = marked.partition(json.dumps("\0").encode())
        self._before, self._after = before, after

    def first(self) -> bytes:
        """The chunk with the role."""
        return self._chunk({"role": "assistant", "content": "", "refusal": None}, None)

    def texts(self, texts: Sequence[str]) -> bytes:
        """A chunk for each text. The escapes of `json.dumps` keep every line end out of the event."""
        before, after = self._before, self._after
        return b"".join([before + json.dumps(text).encode() + after for text in texts])

    def last(self, result: VisionResult) -> bytes:
        """The chunk with the finish reason, the one with the usage where it was asked for, and the end."""
        more = {"performance": performance(self._meta.began, result)}
        end = self._chunk({}, result.finish_reason, more)
        if self._include_usage:
            end += event({**self._head(), "choices": [], "usage": usage(result)})
        return end + DONE

    def _head(self) -> dict[str, Any]:
        return self._meta.head("chat.completion.chunk")

    def _chunk(
        self, delta: dict[str, Any], reason: str | None, more: Mapping[str, Any] | None = None
    ) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        without = {"usage": None} if self._include_usage else {}
        return event({**self._head(), "choices": [choice], **without, **(more or {})})


def event(value: Mapping[str, Any]) -> bytes:
    """One server-sent event."""
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"
PING = b": ping\n\n"


log = logging.getLogger(__name__)

_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    # nginx would otherwise collect the answer and hand it on in one piece.
    "x-accel-buffering": "no",
}


class EventStream(Response):
    """Sends what `source` yields, each piece in one write; `holding` is released when all is over.

    An error after the start is told as `data: {"error": ...}`, the last event. A client that hangs up closes
    the source at once.
    """

    def __init__(
        self,
        source: AsyncGenerator[bytes, None],
        holding: contextlib.AsyncExitStack,
        *,
        ping_s: float,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(headers={**_HEADERS, **(headers or {})})
        del self.headers["content-length"]
        self._source = source
        self._holding = holding
        self._ping_s = ping_s
        self._sent_at = time.monotonic()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer."""
        async with self._holding:
            await send(
                {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            )
            # A task of its own: a token then wakes it alone, not all that lies around the request.
            writing = asyncio.create_task(self._write(scope, send))
            await until_disconnect(Request(scope, receive), writing)

    async def _write(self, scope: Scope, send: Send) -> None:
        pinging = asyncio.create_task(self._ping(send))
        try:
            async with contextlib.aclosing(self._source):
                async for piece in self._source:
                    self._sent_at = time.monotonic()
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            last = b""
        except ClientDisconnect:
            raise
        except ServiceError as error:
            last = self._failure(scope, error)
        except Exception:
            log.exception("a stream failed")
            last = self._failure(scope, ServiceError("Something went wrong here."))
        finally:
            pinging.cancel()
        await send({"type": "http.response.body", "body": last, "more_body": False})

    def _failure(self, scope: Scope, error: ServiceError) -> bytes:
        request_state_of(scope).code = error.code
        return event(openai_format(openai_format.http_status(error), error))

    async def _ping(self, send: Send) -> None:
        with contextlib.suppress(ClientDisconnect):
            while True:
                silent = time.monotonic() - self._sent_at
                await asyncio.sleep(max(0.0, self._ping_s - silent))
                if time.monotonic() - self._sent_at >= self._ping_s:
                    self._sent_at = time.monotonic()
                    await send({"type": "http.response.body", "body": PING, "more_body": True})

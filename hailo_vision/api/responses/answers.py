"""Answers as the Responses API gives them: items, whole or as numbered events in their published order."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from hailo_common.engine.contract import EngineStarted
from hailo_common.errors import ServiceError
from hailo_common.web.streams.event_stream import PING, SSE, StreamForm, event
from hailo_vision.api.catalogue import unix_now
from hailo_vision.api.openai.answers import performance
from hailo_vision.api.tools.calls import CallBegun, CallEvent, Said, ToolCall
from hailo_vision.protocol import VisionResult

Keep = Callable[[str, Said, dict[str, Any]], None]
"""Keeps an answer by its id, if it is to be kept."""


def numbered(numbers: Iterator[int], kind: str, **fields: Any) -> bytes:
    """An event with the next number."""
    return event({"type": kind, **fields, "sequence_number": next(numbers)}, kind)


def form_of(numbers: Iterator[int]) -> StreamForm:
    """The form of one stream, whose events are numbered; an error is the last of them."""

    def failure(error: ServiceError) -> bytes:
        return numbered(numbers, "error", code=error.code, message=error.message, param=error.param)

    return StreamForm(SSE, PING, failure)


def _usage(result: VisionResult) -> dict[str, Any]:
    prompt, answer = result.prompt_tokens, result.completion_tokens
    return {
        "input_tokens": prompt,
        "input_tokens_details": {"cached_tokens": result.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": answer,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": prompt + answer,
    }


def _text(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


class ResponseWriter:
    """One answer; `echo` is what it repeats of its request, `keep` is told of it at its end."""

    def __init__(
        self,
        model: str,
        began: float,
        *,
        response_id: str,
        echo: dict[str, Any],
        numbers: Iterator[int],
        keep: Keep,
    ) -> None:
        self._id = response_id
        self._model, self._echo = model, echo
        self._began, self._created = began, unix_now()
        self._numbers, self._keep = numbers, keep
        self._message_id = f"msg_{uuid.uuid4().hex}"
        self._output: list[dict[str, Any]] = []
        self._call: ToolCall | None = None
        self._words: list[str] | None = None

    def whole(self, said: Said) -> dict[str, Any]:
        """See `AnswerWriter.whole`."""
        if said.text or not said.calls:
            self._output.append(self._message(said.text))
        self._output += [_call_item(call) for call in said.calls]
        return self._finished(said)

    def first(self, started: EngineStarted | None) -> bytes:  # noqa: ARG002
        """See `AnswerWriter.first`."""
        begun = self._object("in_progress", None)
        return self._event("response.created", response=begun) + self._event(
            "response.in_progress", response=begun
        )

    def texts(self, texts: Sequence[str]) -> bytes:
        """See `AnswerWriter.texts`."""
        begun = b""
        if self._words is None:
            self._words = []
            begun = self._added({**self._message(""), "status": "in_progress", "content": []})
            begun += self._part("response.content_part.added", part=_text(""))
        self._words += texts
        told = [self._part("response.output_text.delta", delta=text, logprobs=[]) for text in texts]
        return begun + b"".join(told)

    def call(self, event: CallEvent) -> bytes:
        """See `AnswerWriter.call`."""
        if isinstance(event, CallBegun):
            ended, self._call = self._ended(), event.call
            return ended + self._added({**_call_item(event.call), "status": "in_progress", "arguments": ""})
        return self._of_item("response.function_call_arguments.delta", delta=event.text)

    def last(self, said: Said) -> bytes:
        """See `AnswerWriter.last`."""
        begun = b"" if self._output or self._call or self._words is not None else self.texts([])
        ended = begun + self._ended(said)
        value = self._finished(said)
        return ended + self._event(f"response.{value['status']}", response=value)

    def _ended(self, said: Said | None = None) -> bytes:
        """The end of the item that is open, if one is; `said` at the end of all."""
        cut = said is not None and said.result.finish_reason == "length"
        status = "incomplete" if cut else "completed"
        told = b""
        if self._call is not None:
            item = {**_call_item(self._call), "status": status}
            given = {"name": self._call.name, "arguments": self._call.arguments}
            told = self._of_item("response.function_call_arguments.done", **given)
        elif self._words is not None:
            text = "".join(self._words)
            item = {**self._message(text), "status": status}
            told = self._part("response.output_text.done", text=text, logprobs=[])
            told += self._part("response.content_part.done", part=_text(text))
        else:
            return b""
        told += self._event("response.output_item.done", output_index=len(self._output), item=item)
        self._output.append(item)
        self._call = self._words = None
        return told

    def _finished(self, said: Said) -> dict[str, Any]:
        status = "incomplete" if said.result.finish_reason == "length" else "completed"
        if self._output:
            self._output[-1]["status"] = status
        value = self._object(status, said.result)
        self._keep(self._id, said, value)
        return value

    def _message(self, text: str) -> dict[str, Any]:
        content = [_text(text)]
        item = {"id": self._message_id, "type": "message", "status": "completed", "role": "assistant"}
        return {**item, "content": content}

    def _object(self, status: str, result: VisionResult | None) -> dict[str, Any]:
        cut = {"reason": "max_output_tokens"} if status == "incomplete" else None
        value = {
            "id": self._id,
            "object": "response",
            "created_at": self._created,
            "completed_at": unix_now() if status == "completed" else None,
            "status": status,
            "error": None,
            "incomplete_details": cut,
            "model": self._model,
            "output": list(self._output),
            **self._echo,
            "usage": None if result is None else _usage(result),
        }
        return value if result is None else value | {"performance": performance(self._began, result)}

    def _added(self, item: dict[str, Any]) -> bytes:
        return self._event("response.output_item.added", output_index=len(self._output), item=item)

    def _part(self, kind: str, **fields: Any) -> bytes:
        place = {"item_id": self._message_id, "output_index": len(self._output), "content_index": 0}
        return self._event(kind, **place, **fields)

    def _of_item(self, kind: str, **fields: Any) -> bytes:
        assert self._call is not None
        place = {"item_id": f"fc_{self._call.id}", "output_index": len(self._output)}
        return self._event(kind, **place, **fields)

    def _event(self, kind: str, **fields: Any) -> bytes:
        return numbered(self._numbers, kind, **fields)


def _call_item(call: ToolCall) -> dict[str, Any]:
    return {
        "id": f"fc_{call.id}",
        "type": "function_call",
        "status": "completed",
        "call_id": f"call_{call.id}",
        "name": call.name,
        "arguments": call.arguments,
    }

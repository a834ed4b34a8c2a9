"""Calls in what a model writes: read while it comes, and checked where nothing holds the model to them."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from hailo_common.errors import InvalidParameter
from hailo_common.text import overlap
from hailo_vision.api.fields import refused
from hailo_vision.api.json_mode import Mismatch, check, without_fence
from hailo_vision.api.tools.declared import ToolUse
from hailo_vision.protocol import CALL_BEGIN, CALL_END, VisionResult, call_text

_HEAD = re.compile(r'\s*\{"name": "([^"]{1,128})", "arguments": ')
_TAIL = f"}}\n{CALL_END}"
_LONGEST_HEAD = 256
_BLOCK = re.compile(rf"{re.escape(CALL_BEGIN)}(.*?)(?:{re.escape(CALL_END)}|\Z)", re.DOTALL)


@dataclass
class ToolCall:
    """One call; `arguments` is JSON, `id` a name in this process that dialects put their mark before."""

    name: str
    arguments: str = ""
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:24])

    @property
    def given(self) -> Any:
        """The arguments as a value, for dialects that give them so; none of a call that was cut."""
        try:
            return _json(self.arguments)
        except Mismatch:
            return {}


@dataclass(frozen=True)
class CallBegun:
    """A call of which the name is known."""

    index: int
    call: ToolCall


@dataclass(frozen=True)
class CallArguments:
    """The next piece of a call's arguments."""

    index: int
    text: str


CallEvent: TypeAlias = "CallBegun | CallArguments"


@dataclass(frozen=True)
class Said:
    """A finished answer: its words, its calls, and the engine's own account of it."""

    result: VisionResult
    text: str
    calls: tuple[ToolCall, ...] = ()
    named: bool = False

    @property
    def finish_reason(self) -> str:
        """`stop`, `length` or `tool_calls`; as OpenAI has it, a call that was demanded by name ends with
        `stop`.
        """
        reason = self.result.finish_reason
        return "tool_calls" if self.calls and reason == "stop" and not self.named else reason


class CallReader:
    """Tells words from calls in an answer that comes in pieces; what may be the beginning of a call waits."""

    def __init__(self, use: ToolUse) -> None:
        self._use = use
        self._held = ""
        self._words: list[str] = []
        self._calls: list[ToolCall] = []
        self._read = self._read_words

    def feed(self, text: str) -> list[str | CallEvent]:
        """What `text` adds."""
        self._held += text
        events: list[str | CallEvent] = []
        while self._held and self._read(events):
            pass
        return events

    def end(self) -> list[str | CallEvent]:
        """What was held back, at the end of an answer; a call whose name is not whole is none."""
        held, self._held = self._held, ""
        if not held or self._read == self._read_head:
            return []
        if self._read == self._read_arguments:
            return [self._argue(held)]
        if self._calls and held.isspace():
            return []
        if self._use.least and CALL_BEGIN.startswith(held.lstrip()):
            # Nothing but a call was asked for, and its tokens ended within its mark.
            return []
        self._words.append(held)
        return [held]

    def said(self, result: VisionResult) -> Said:
        """The whole answer; `end` was called before."""
        return Said(result, "".join(self._words), tuple(self._calls), self._use.named)

    def _read_words(self, events: list[str | CallEvent]) -> bool:
        at = self._held.find(CALL_BEGIN)
        cut = at if at >= 0 else len(self._held) - overlap(self._held, CALL_BEGIN)
        words = self._held[:cut]
        if words.isspace() and not self._words and at < 0:
            return False
        if (words and not words.isspace()) or (self._words and not self._calls and words):
            self._words.append(words)
            events.append(words)
        self._held = self._held[cut:]
        if at < 0:
            return False
        self._held = self._held[len(CALL_BEGIN) :]
        self._read = self._read_head
        return True

    def _read_head(self, events: list[str | CallEvent]) -> bool:
        found = _HEAD.match(self._held)
        if found is None:
            if len(self._held) < _LONGEST_HEAD:
                return False
            # No grammar makes this: they are words after all.
            self._words.append(f"{CALL_BEGIN}{self._held}")
            events.append(self._words[-1])
            self._held, self._read = "", self._read_words
            return False
        self._calls.append(ToolCall(found[1]))
        events.append(CallBegun(len(self._calls) - 1, self._calls[-1]))
        self._held, self._read = self._held[found.end() :], self._read_arguments
        return True

    def _read_arguments(self, events: list[str | CallEvent]) -> bool:
        # No JSON has a line end before a `<`, within its texts or between them.
        at = self._held.find(_TAIL)
        cut = at if at >= 0 else len(self._held) - overlap(self._held, _TAIL)
        if cut:
            events.append(self._argue(self._held[:cut]))
        self._held = self._held[cut:]
        if at < 0:
            return False
        self._held, self._read = self._held[len(_TAIL) :], self._read_words
        return True

    def _argue(self, text: str) -> CallArguments:
        self._calls[-1].arguments += text
        return CallArguments(len(self._calls) - 1, text)


def said_of(result: VisionResult, use: ToolUse | None) -> Said:
    """A finished answer, read."""
    if use is None:
        return Said(result, result.text)
    reader = CallReader(use)
    reader.feed(result.text)
    reader.end()
    return reader.said(result)


def checked(text: str, use: ToolUse) -> tuple[str, bool]:
    """An answer that nothing held to its form, in the form that `CallReader` reads; whether it has calls.

    Raises Mismatch where calls are not what they must be, InvalidParameter for a schema that is none.
    """
    words, calls = _found(text, use)
    calls = calls[: use.most]
    if len(calls) < use.least:
        raise Mismatch("it calls no function")
    made = [call_text(name, _checked_arguments(name, arguments, use)) for name, arguments in calls]
    return words + "\n".join(made), bool(calls)


def _found(text: str, use: ToolUse) -> tuple[str, list[tuple[str, Any]]]:
    """Words, and names with arguments of all calls; a bare JSON object that names a function is one."""
    if CALL_BEGIN in text:
        blocks = [_json(found[1]) for found in _BLOCK.finditer(text)]
        return text[: text.index(CALL_BEGIN)].strip(), [call for each in blocks for call in _calls(each, use)]
    try:
        value = _json(without_fence(text))
    except Mismatch:
        return text, []
    calls = list(_calls(value, use, sure=False))
    return ("", calls) if calls else (text, [])


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise Mismatch("a call in it is not valid JSON") from None


def _calls(value: Any, use: ToolUse, *, sure: bool = True) -> Iterator[tuple[str, Any]]:
    for each in value if isinstance(value, list) else [value]:
        inner = each.get("function", each) if isinstance(each, dict) else None
        call = inner if isinstance(inner, dict) else {}
        name, arguments = call.get("name"), call.get("arguments", call.get("parameters"))
        if isinstance(name, str) and name in use.schemas and arguments is not None:
            yield name, arguments
        elif use.named and isinstance(each, dict):
            yield use.tools[0].name, each
        elif sure:
            raise Mismatch("it calls a function that there is not, or without arguments")


def _checked_arguments(name: str, arguments: Any, use: ToolUse) -> str:
    if isinstance(arguments, str):
        arguments = _json(arguments)
    try:
        check(arguments, use.schemas[name])
    except InvalidParameter as error:
        raise refused("tools", error.message) from None
    except Mismatch as error:
        raise Mismatch(f"in the arguments of {name}, {error}") from None
    return json.dumps(arguments)

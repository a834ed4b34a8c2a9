"""What crosses between hailo-vision's HTTP process and its engine: one conversation in, one answer out.

The API has checked every field before a `VisionRequest` is made. Loads no numpy: both processes use it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from hailo_common.engine.contract import EngineResult, OwnedRequest

Role = Literal["system", "user", "assistant"]
ContextPolicy = Literal["refuse", "drop_oldest"]
CALL_BEGIN, CALL_END = "<tool_call>", "</tool_call>"
"""What stands around the call of a tool in an answer: the marks of Qwen's and Hermes' templates."""


def call_text(name: str, arguments: str) -> str:
    """A call as an answer has it; `arguments` is JSON."""
    return f'{CALL_BEGIN}\n{{"name": {json.dumps(name)}, "arguments": {arguments}}}\n{CALL_END}'


@dataclass(frozen=True)
class Call:
    """A tool that was called in a conversation; `arguments` is what the JSON holds, a text where it is none.

    `id` is what its result names it by, "" where that names none.
    """

    name: str
    arguments: Any
    id: str = ""

    @property
    def text(self) -> str:
        """The call as an answer has it."""
        return call_text(self.name, json.dumps(self.arguments, ensure_ascii=False))


@dataclass(frozen=True)
class ToolResult:
    """What a message of a tool answers: the function's name and the call's id, each "" where unknown."""

    name: str = ""
    id: str = ""


@dataclass(frozen=True)
class ChatMessage:
    """`parts` in order: a text, or the index of an image of the request.

    An assistant's may have `calls` after them; a user's with a `result` is what a tool gave back.
    """

    role: Role
    parts: tuple[str | int, ...]
    calls: tuple[Call, ...] = ()
    result: ToolResult | None = None

    @property
    def texts(self) -> list[str]:
        """All that a client wrote in it."""
        told = [part for part in self.parts if isinstance(part, str)]
        for call in self.calls:
            told += [call.name, json.dumps(call.arguments, ensure_ascii=False)]
        return told if self.result is None else [*told, self.result.name]

    def to_json(self) -> dict[str, Any]:
        """The same as a JSON object."""
        value: dict[str, Any] = {"role": self.role, "parts": self.parts}
        if self.calls:
            value["calls"] = [vars(call) for call in self.calls]
        return value if self.result is None else {**value, "result": vars(self.result)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ChatMessage:
        """The inverse of `to_json`."""
        calls = tuple(Call(**call) for call in value.get("calls", ()))
        result = value.get("result")
        return cls(value["role"], tuple(value["parts"]), calls, result and ToolResult(**result))

    def for_template(self, hide: Callable[[str], str]) -> dict[str, Any]:
        """Role and parts as chat templates take them, every text passed through `hide`."""
        parts = [
            {"type": "text", "text": hide(part)} if isinstance(part, str) else {"type": "image"}
            for part in self.parts
        ]
        return {"role": self.role, "content": parts}


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen.

    `temperature` 0 is greedy, `top_k` 0 all tokens, `repetition` None the model's own. `seed` makes sampling
    repeatable, None draws one. `bias` maps token ids to what is added to their scores.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None
    frequency: float = 0.0
    presence: float = 0.0
    repetition: float | None = None
    bias: Mapping[int, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The same as a JSON object, whose names are strings."""
        return {**vars(self), "bias": {str(token): bias for token, bias in self.bias.items()}}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Sampling:
        """The inverse of `to_json`."""
        return cls(**{**value, "bias": {int(token): bias for token, bias in value["bias"].items()}})


@dataclass(frozen=True)
class VisionRequest(OwnedRequest):
    """One chat completion; `max_tokens` None is as many as fit, `response_format` None is plain text.

    `tools` are for a chat template that has a place for them, in the form that templates take.
    """

    messages: tuple[ChatMessage, ...]
    max_tokens: int | None = None
    sampling: Sampling = field(default_factory=Sampling)
    stops: tuple[str, ...] = ()
    response_format: Mapping[str, Any] | None = None
    context_policy: ContextPolicy = "refuse"
    tools: tuple[Mapping[str, Any], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The same as a JSON object."""
        messages = [message.to_json() for message in self.messages]
        return {**vars(self), "messages": messages, "sampling": self.sampling.to_json()}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """The inverse of `to_json`."""
        messages = tuple(map(ChatMessage.from_json, value["messages"]))
        sampling = Sampling.from_json(value["sampling"])
        stops = tuple(value["stops"])
        tools = tuple(value.get("tools", ()))
        return cls(**{**value, "messages": messages, "sampling": sampling, "stops": stops, "tools": tools})


@dataclass(frozen=True, kw_only=True)
class VisionResult(EngineResult):
    """One answer with its counts of tokens, and seconds by part.

    `image_tokens` and `cached_tokens` are among `prompt_tokens`; `cached_images` were not encoded again.
    `first_token_seconds` counts from the engine's start on the request.
    """

    prompt_tokens: int
    image_tokens: int
    cached_tokens: int
    completion_tokens: int
    cached_images: int
    vision_seconds: float
    prefill_seconds: float
    decode_seconds: float
    first_token_seconds: float

    @property
    def tokens_per_second(self) -> float:
        """Of the tokens after the first, which comes with the prefill."""
        steps = self.completion_tokens - 1
        if steps > 0 and self.decode_seconds:
            return steps / self.decode_seconds
        return 1 / max(self.seconds, 1e-3)

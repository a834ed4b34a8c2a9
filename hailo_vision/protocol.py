"""What one request asks of the engine, checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from hailo_common.engine.fields import ANY, number_field, whole_field
from hailo_common.errors import InvalidParameter
from hailo_common.inference.tokenizer import is_unicode

ROLES = ("system", "user", "assistant")
POLICIES = ("refuse", "drop_oldest")
_MOST_STOPS = 16


@dataclass(frozen=True)
class ChatMessage:
    """`parts` in order: a text, or the number of a picture of the request."""

    role: str
    parts: tuple[str | int, ...]

    def for_template(self, hide: Callable[[str], str]) -> dict[str, Any]:
        """The same as chat templates take it, every text passed through `hide`."""
        parts = [
            {"type": "text", "text": hide(part)} if isinstance(part, str) else {"type": "image"}
            for part in self.parts
        ]
        return {"role": self.role, "content": parts}


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen; `temperature` 0 is greedy, `repetition` None is the model's own."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None
    frequency: float = 0.0
    presence: float = 0.0
    repetition: float | None = None
    bias: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class VisionRequest:
    """One chat completion; `max_tokens` None is as many as fit."""

    messages: tuple[ChatMessage, ...]
    max_tokens: int | None
    sampling: Sampling
    stops: tuple[str, ...]
    response_format: Mapping[str, Any] | None
    policy: Literal["refuse", "drop_oldest"]


def parse_request(request: Mapping[str, Any], images: int) -> VisionRequest:
    """Check a request that came with `images` pictures; raises InvalidParameter naming the field."""
    policy = request.get("context_policy", "refuse")
    if policy not in POLICIES:
        raise InvalidParameter(
            f"context_policy must be one of {', '.join(POLICIES)}.", param="context_policy"
        )
    longest = None if request.get("max_tokens") is None else whole_field(request, "max_tokens", 1, ANY)
    response_format = request.get("response_format")
    if response_format is not None and not isinstance(response_format, dict):
        raise InvalidParameter("response_format must be an object.", param="response_format")
    return VisionRequest(
        messages=_messages(request.get("messages"), images),
        max_tokens=longest,
        sampling=_sampling(request),
        stops=_stops(request.get("stop")),
        response_format=response_format,
        policy=policy,
    )


def _messages(value: Any, images: int) -> tuple[ChatMessage, ...]:
    if not isinstance(value, list) or not value:
        raise InvalidParameter("messages must be a list of at least one message.", param="messages")
    return tuple(_message(item, f"messages[{number}]", images) for number, item in enumerate(value))


def _message(value: Any, name: str, images: int) -> ChatMessage:
    if not isinstance(value, dict) or value.get("role") not in ROLES:
        raise InvalidParameter(f"The role must be one of {', '.join(ROLES)}.", param=f"{name}.role")
    parts = value.get("content")
    if not isinstance(parts, list):
        raise InvalidParameter("The content must be a list of parts.", param=f"{name}.content")
    places = [f"{name}.content[{number}]" for number in range(len(parts))]
    return ChatMessage(value["role"], tuple(_part(*item, images) for item in zip(parts, places, strict=True)))


def _part(value: Any, name: str, images: int) -> str | int:
    kind = value.get("type") if isinstance(value, dict) else None
    if kind == "text" and isinstance(value.get("text"), str) and is_unicode(value["text"]):
        return str(value["text"])
    if kind == "image" and value.get("image") in range(images):
        return int(value["image"])
    raise InvalidParameter("A part must be a Unicode text or one of the request's pictures.", param=name)


def _sampling(request: Mapping[str, Any]) -> Sampling:
    repetition = request.get("repetition_penalty")
    if repetition is not None and not number_field(request, "repetition_penalty", 1.0, low=0.0):
        raise InvalidParameter("repetition_penalty must be above 0.", param="repetition_penalty")
    seed = None if request.get("seed") is None else whole_field(request, "seed", -ANY - 1, ANY)
    return Sampling(
        temperature=number_field(request, "temperature", 0.0, low=0.0),
        top_p=number_field(request, "top_p", 1.0, low=0.0, high=1.0),
        top_k=whole_field({"top_k": 0, **request}, "top_k", 0, ANY),
        seed=None if seed is None else seed % 2**64,
        frequency=number_field(request, "frequency_penalty", 0.0, low=-2.0, high=2.0),
        presence=number_field(request, "presence_penalty", 0.0, low=-2.0, high=2.0),
        repetition=None if repetition is None else float(repetition),
        bias=_bias(request.get("logit_bias") or {}),
    )


def _bias(value: Any) -> dict[int, float]:
    if not isinstance(value, dict) or not all(str(key).isdecimal() for key in value):
        raise InvalidParameter("logit_bias must be an object of token ids.", param="logit_bias")
    named = {f"logit_bias[{key}]": bias for key, bias in value.items()}
    numbers = (number_field(named, name, 0.0, low=-100.0, high=100.0) for name in named)
    return dict(zip(map(int, value), numbers, strict=True))


def _stops(value: Any) -> tuple[str, ...]:
    listed = [] if value is None else value
    if (
        not isinstance(listed, list)
        or len(listed) > _MOST_STOPS
        or not all(isinstance(item, str) and item and is_unicode(item) for item in listed)
    ):
        raise InvalidParameter(f"stop must be a list of at most {_MOST_STOPS} texts.", param="stop")
    return tuple(listed)

"""From the body of a request of Ollama's API to a checked conversation."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from hailo_vision.api.chat_request import ChatRequest, RequestLimits, sent_images
from hailo_vision.api.chat_service import ChatService
from hailo_vision.api.fields import Data, flag, integer, refuse_given, refused, table, unsupported
from hailo_vision.api.image_fields import beside
from hailo_vision.api.messages import check_text, read_messages
from hailo_vision.api.options import drawn_seed, json_format, read_sampling, read_stops
from hailo_vision.api.tools.declared import read_tools
from hailo_vision.protocol import ChatMessage, Sampling, VisionRequest

_DURATION = re.compile(r"(-?)((?:[0-9]+(?:\.[0-9]+)?(?:ns|us|µs|ms|s|m|h))+)")
_PART = re.compile(r"([0-9.]+)(ns|us|µs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_MARKER = "[img]"
_CHAT_FIELDS = ("messages", "model", "tools", "format", "options")
_GENERATE_FIELDS = ("prompt", "system", "model", "format", "options", "images")

_REFUSED = {
    "raw": "The prompt always goes through the model's chat template here: raw must be false.",
    "template": "The chat template is the model's own here; template cannot be set.",
    "suffix": "This model does not fill in the middle of a text: suffix must be empty.",
}


@dataclass(frozen=True)
class OllamaRequest:
    """A checked request; without a `chat` it only asks for the model to be loaded, or unloaded."""

    service: ChatService
    model: str
    chat: ChatRequest | None
    stream: bool
    keep_s: float | None


def chat_request(data: Data, service: ChatService) -> OllamaRequest:
    """What `/api/chat` is asked; the caller closes `chat`. Raises InvalidParameter or BadRequest."""
    if not data.get("messages"):
        return _request(data, service, None)
    engine, tools = _options(data, service.limits), read_tools(data)
    with sent_images(service.limits) as images:
        for _, where in beside(data, _CHAT_FIELDS, ""):
            raise refused(where, f"{where} belongs into the images of a message.", "unexpected_image")
        messages = read_messages(_placed(data["messages"]), images)
        return _request(data, service, ChatRequest(replace(engine, messages=messages), images, tools))


def _placed(messages: Any) -> Any:
    """The messages with their images where the marker `[img]` stands in a text, as Ollama puts them.

    Images that no marker stands for come before the text.
    """
    if not isinstance(messages, list):
        return messages
    return [_with_marked_images(each) if isinstance(each, dict) else each for each in messages]


def _with_marked_images(message: dict[str, Any]) -> dict[str, Any]:
    text, images = message.get("content"), message.get("images")
    if not isinstance(text, str) or not isinstance(images, list) or _MARKER not in text:
        return message
    pieces = text.split(_MARKER, len(images))
    placed = len(pieces) - 1
    parts: list[Any] = [{"type": "text", "text": pieces[0]}]
    for image, piece in zip(images[:placed], pieces[1:], strict=True):
        parts += [{"type": "image", "image": image}, {"type": "text", "text": piece}]
    kept = [part for part in parts if part["type"] == "image" or part["text"]]
    return {**message, "content": kept, "images": images[placed:]}


def generate_request(data: Data, service: ChatService) -> OllamaRequest:
    """What `/api/generate` is asked; the caller closes `chat`. Raises InvalidParameter or BadRequest."""
    refuse_given(data, _REFUSED)
    prompt, system = _text(data, "prompt"), _text(data, "system")
    sent = data.get("images") or []
    if not prompt and not sent:
        return _request(data, service, None)
    if not isinstance(sent, list):
        raise refused("images", "images must be a list of images in base64.")
    engine = _options(data, service.limits)
    with sent_images(service.limits) as images:
        indexes = tuple(images.add(image, f"images[{index}]") for index, image in enumerate(sent))
        for source, where in beside(data, _GENERATE_FIELDS, ""):
            indexes += (images.add(source, where),)
        messages: tuple[ChatMessage, ...] = (ChatMessage("system", (system,)),) if system else ()
        messages += (ChatMessage("user", (*indexes, prompt) if prompt else indexes),)
        check_text(messages)
        return _request(data, service, ChatRequest(replace(engine, messages=messages), images))


def _request(data: Data, service: ChatService, chat: ChatRequest | None) -> OllamaRequest:
    model = service.catalogue.spelled(data.get("model"))
    stream = data.get("stream") is None or flag(data, "stream")
    return OllamaRequest(service, model, chat, stream, keep_alive(data.get("keep_alive")))


def _text(data: Data, name: str) -> str:
    value = data.get(name)
    if value is not None and not isinstance(value, str):
        raise refused(name, f"{name} must be a string.")
    return value or ""


def _options(data: Data, limits: RequestLimits) -> VisionRequest:
    if data.get("think") not in (None, False, ""):
        raise unsupported("think", "This model does not support thinking: think must be false.")
    options = table(data, "options") or {}
    return VisionRequest(
        messages=(),
        max_tokens=_length(options, limits.max_new_tokens),
        sampling=_sampling(options, limits.temperature),
        stops=read_stops(options.get("stop"), "options.stop"),
        response_format=_format(data.get("format")),
        context_policy=limits.context_policy,
    )


def _length(options: Data, limit: int) -> int:
    """-1 is as much as there may be, -2 what fits in the context, which is no more."""
    wanted = integer(options, "num_predict", -2)
    return limit if wanted is None or wanted <= 0 else min(limit, wanted)


def _sampling(options: Data, temperature: float) -> Sampling:
    """The seed -1 is Ollama's own name for "draw one"."""
    found = read_sampling(options, temperature, repetition="repeat_penalty")
    return replace(found, seed=drawn_seed()) if options.get("seed") == -1 else found


def _format(value: Any) -> Mapping[str, Any] | None:
    if value in (None, ""):
        return None
    if value == "json":
        return {"type": "json_object"}
    if not isinstance(value, dict):
        raise refused("format", 'format must be "json" or a JSON schema.')
    return json_format(value, "format", strict=False)


def keep_alive(value: Any) -> float | None:
    """Seconds that a model stays after its last request; infinity for a negative value, None where absent.

    A number is seconds, a string a duration as Go writes it (`5m`, `1h30m`), or a number.
    """
    if value is None or value == "":
        return None
    if isinstance(value, str):
        match = _DURATION.fullmatch(value.strip())
        if match is not None:
            seconds = sum(float(count) * _SECONDS[unit] for count, unit in _PART.findall(match[2]))
            return math.inf if match[1] else seconds
        value = _number(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise refused("keep_alive", "keep_alive must be seconds, or a duration such as 5m.")
    return math.inf if value < 0 else float(min(value, 1e9))


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None

"""hailo-florence's tools for the Model Context Protocol: its tasks, with the fields of their routes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI

from hailo_common.errors import InvalidParameter, NotReady
from hailo_common.web.mcp.routes import add_mcp
from hailo_common.web.mcp.server import McpServer
from hailo_common.web.mcp.tools import IMAGE, Tool, ToolAnswer, ToolCall
from hailo_florence.api.answering import answer_one
from hailo_florence.api.caption_service import CaptionService
from hailo_florence.api.fields import Fields
from hailo_florence.api.kinds import CAPTION, DETECT, GROUND, OCR, REGION, SEGMENT, VQA, Kind
from hailo_florence.api.request import Asked, json_limit, read_data
from hailo_florence.protocol import obstacle

_INSTRUCTIONS = (
    "Florence-2 on this machine: it describes an image, finds and outlines things in it and reads its text."
    " Boxes are x0, y0, x1, y1 in pixels of the image. It holds no conversation."
)


@dataclass(frozen=True)
class _Spec:
    """A tool that asks what a route asks: `tasks` are those it may stand for; it is offered where the model
    can do one of them.
    """

    name: str
    title: str
    description: str
    kind: Kind
    tasks: tuple[str, ...]


_SPECS = (
    _Spec(
        "describe_image",
        "Describe an image",
        "Says what is in an image, briefly or in detail.",
        CAPTION,
        ("caption", "detailed_caption", "more_detailed_caption"),
    ),
    _Spec(
        "ask_image",
        "Ask about an image",
        "Answers a question about an image.",
        VQA,
        ("vqa",),
    ),
    _Spec(
        "detect_objects",
        "Find things",
        "Finds things in an image, all of them or what a text names.",
        DETECT,
        ("od", "dense_region_caption", "region_proposal", "open_vocabulary_detection"),
    ),
    _Spec(
        "ground_caption",
        "Find what a caption speaks of",
        "Finds the phrases of a caption in an image.",
        GROUND,
        ("caption_to_phrase_grounding",),
    ),
    _Spec(
        "segment_image",
        "Outline a thing",
        "Outlines what a text names, or what is in a box.",
        SEGMENT,
        ("referring_expression_segmentation", "region_to_segmentation"),
    ),
    _Spec(
        "read_text",
        "Read text",
        "Reads the text in an image, or in a box of it.",
        OCR,
        ("ocr", "ocr_with_region", "region_to_ocr"),
    ),
    _Spec(
        "describe_region",
        "Say what is in a box",
        "Names or describes what is in a box of an image.",
        REGION,
        ("region_to_category", "region_to_description"),
    ),
)


def add_tools(app: FastAPI, service: CaptionService) -> None:
    """Add `/mcp`."""
    limit = json_limit(service.limits.request)
    tools = [_tool(spec, service) for spec in _SPECS]
    add_mcp(app, McpServer("hailo-florence", "Captions and places", _INSTRUCTIONS, tools, limit))


def _tool(spec: _Spec, service: CaptionService) -> Tool:
    return Tool(
        spec.name,
        spec.title,
        spec.description,
        _input_schema(spec.kind.fields),
        spec.kind.reply.model_json_schema(),
        lambda arguments: _read(spec, service, arguments),
        lambda: _can(spec, service),
    )


def _input_schema(fields: type[Fields]) -> dict[str, Any]:
    schema = fields.model_json_schema()
    schema["properties"].pop("stream", None)
    properties, required = {"image": IMAGE, **schema["properties"]}, ["image", *schema.get("required", [])]
    return {"type": "object", "properties": properties, "required": required}


def _can(spec: _Spec, service: CaptionService) -> bool:
    """Whether the model can do it, as far as is known."""
    try:
        info = service.info
    except NotReady:
        return True
    return any(not obstacle(task, info) for task in spec.tasks)


def _read(spec: _Spec, service: CaptionService, arguments: dict[str, Any]) -> ToolCall:
    service.queue.check()
    if "images" in arguments:
        raise InvalidParameter("This tool looks at one image: image.", param="images")
    asked = read_data(arguments, spec.kind.fields, service.limits.request)
    return _Task(spec, service, asked)


class _Task(ToolCall):
    """One task about an image."""

    def __init__(self, spec: _Spec, service: CaptionService, asked: Asked[Fields]) -> None:
        self._spec = spec
        self._service = service
        self._asked = asked
        self._began = time.monotonic()

    async def run(self) -> ToolAnswer:
        """See `ToolCall.run`."""
        service, asked = self._service, self._asked
        service.for_engine(asked.request)
        await service.fetch(asked.images)
        with service.queue.admit():
            reply = await answer_one(service, asked, self._spec.kind.write)
        service.metrics.note_answer(time.monotonic() - self._began)
        structured = reply.to_json()
        return ToolAnswer(_text(structured), structured)

    def close(self) -> None:
        """Close the image. May be called twice."""
        self._asked.images.close()


def _text(structured: dict[str, Any]) -> str:
    """The answer in words: its text, and the places as a list."""
    text = next((structured[name] for name in ("caption", "answer", "text") if name in structured), "")
    places = [
        f"{found['label'] or 'thing'}: {_place(found)}".rstrip() for found in structured.get("objects", ())
    ]
    return "\n".join([text, *places] if text else places) or "Nothing was found."


def _place(found: dict[str, Any]) -> str:
    place = found.get("box") or found.get("quad") or found.get("polygons") or []
    return str(place)

"""The answers, as they are described to clients and made from the engine's results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from hailo_florence.api.fields import Fields
from hailo_florence.protocol import TASKS, FlorenceResult


class Reply(BaseModel):
    """What every answer carries."""

    inference_time_ms: int = Field(description="Time in the engine, without upload, decoding and waiting.")
    model: str
    token_count: int = Field(description="Tokens of the text, counted by the model's tokenizer.")
    unchanged: bool | None = Field(
        None, description="Of a camera: `true` where its picture has not changed and this is the last answer."
    )
    distance: float | None = Field(None, description="Share of the camera's picture that has changed.")
    cached: bool | None = Field(None, description="`true` where the image had been encoded before.")

    def to_json(self) -> dict[str, Any]:
        """The answer as clients get it: what is None is not there."""
        return self.model_dump(mode="json", exclude_none=True)


class CaptionReply(Reply):
    """A caption."""

    caption: str


class VqaReply(Reply):
    """An answer to a question."""

    answer: str


class FoundObject(BaseModel):
    """A thing and where it is: x and y in turns, in pixels of the image as sent, or shares of its sides."""

    label: str
    box: list[int | float] | None = Field(None, description="x0, y0, x1, y1.")
    quad: list[int | float] | None = Field(None, description="Four corners around a text.")
    polygons: list[list[int | float]] | None = Field(None, description="Outlines.")


class ObjectsReply(Reply):
    """Things and their places."""

    objects: list[FoundObject]
    finish_reason: str = Field(description="`length` where the answer was cut: more may be there.")


class TextReply(Reply):
    """A text."""

    text: str


class OcrReply(TextReply):
    """The text read, and where each part of it is, if that was asked for."""

    objects: list[FoundObject] | None = None
    finish_reason: str


class TaskReply(Reply):
    """The answer to a task, raw and read as the reference implementation reads it."""

    task: str = Field(description="The task's token.")
    text: str = Field(description="The answer with its special tokens.")
    result: str | dict[str, Any] = Field(description="A text, or lists of places and labels.")
    finish_reason: str


class BatchReply(BaseModel):
    """The answers to `images`."""

    results: list[dict[str, Any]] = Field(
        description="An entry for each image: `index`, `image_url` (the head of its data: URL), and the"
        " fields of its answer without `model`, or those of an error."
    )
    model: str
    total_inference_time_ms: int
    total_ms: int
    images_answered: int
    images_failed: int
    token_count: int


class TaskEntry(BaseModel):
    """A task, and whether the loaded model can do it."""

    name: str
    task: str = Field(description="The task's token.")
    prompt: str
    takes: str = Field(description="`text`, `region` or nothing.")
    gives: str
    available: bool
    reason: str | None = Field(None, description="Why it is not.")


class TasksReply(BaseModel):
    """All tasks."""

    model: str
    tasks: list[TaskEntry]


class ErrorReply(BaseModel):
    """Every error has this shape."""

    error: str = Field(description="A stable code.", examples=["queue_full"])
    message: str = Field(examples=["The queue of 8 is full."])
    status: int = Field(examples=[503])
    param: str | None = Field(None, description="The field at fault, if one is.")


ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorReply, "description": "The image or the body is malformed or over a limit."},
    413: {"model": ErrorReply, "description": "The image has more bytes than `max_image_bytes`."},
    415: {"model": ErrorReply, "description": "Not JPEG, PNG or WebP; or neither JSON nor a form."},
    422: {"model": ErrorReply, "description": "A field is missing or out of range; `param` names it."},
    500: {"model": ErrorReply, "description": "The model failed on this request."},
    501: {
        "model": ErrorReply,
        "description": "The loaded model or its backend cannot do this; the message says why.",
    },
    503: {"model": ErrorReply, "description": "Loading, busy, or replacing a lost engine; see Retry-After."},
}

_IMAGE = {"type": "string", "description": "data:image/jpeg;base64,... (JPEG, PNG or WebP)"}
_FILE = {
    "type": "string",
    "format": "binary",
    "description": "A JPEG, PNG or WebP file; `file` is accepted too.",
}


def answers(reply: type[Reply]) -> dict[str, Any]:
    """The OpenAPI description of a route's good answer: one, or those of a batch."""
    return {"model": reply | BatchReply, "description": "The answer, or with `images` one for each."}


_IMAGES = {
    "type": "array",
    "items": _IMAGE,
    "description": "Several images instead of `image`, each answered by itself.",
}


def request_body(fields: type[Fields]) -> dict[str, Any]:
    """The OpenAPI request body: JSON with a data URI, or a form with a file."""
    schema = fields.model_json_schema()
    examples = schema.pop("examples", [])
    properties, required = schema["properties"], schema.get("required", [])
    images = {"image": _IMAGE, "images": _IMAGES}
    as_json = schema | {"properties": {**images, **properties}, "required": required}
    as_form = schema | {
        "properties": {"image": _FILE, **_prefilled(properties, examples[0])},
        "required": ["image", *required],
    }
    return {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": as_json, "example": examples[0]},
                "multipart/form-data": {"schema": as_form},
            },
        }
    }


def _prefilled(properties: dict[str, Any], example: dict[str, Any]) -> dict[str, Any]:
    """A form's fields with what the API page puts in at first: what can be sent as it stands.

    Left alone it invents a value for each field, and sends it: the largest seed, rounded up.
    """
    return {name: _form_field(field, example.get(name)) for name, field in properties.items()}


def _form_field(field: dict[str, Any], example: Any) -> dict[str, Any]:
    kinds = {option.get("type") for option in (field, *field.get("anyOf", ()))}
    if "array" in kinds:
        # Lists are texts in a form; the page would read this one as JSON.
        text = ",".join(map(str, example or ()))
        return {"type": "string", "description": field.get("description", ""), "example": text}
    return field | {"example": field.get("default") or "" if example is None else example}


def caption_reply(result: FlorenceResult, _: Fields, facts: dict[str, Any]) -> CaptionReply:
    """The answer to `CaptionFields`; `facts` are those of every `Reply`, here and below."""
    return CaptionReply(caption=result.text, **facts)


def vqa_reply(result: FlorenceResult, _: Fields, facts: dict[str, Any]) -> VqaReply:
    """The answer to `VqaFields`."""
    return VqaReply(answer=result.text, **facts)


def objects_reply(result: FlorenceResult, _: Fields, facts: dict[str, Any]) -> ObjectsReply:
    """The answer to what asks for places."""
    places: Any = result.places
    return ObjectsReply(objects=places, finish_reason=result.finish_reason, **facts)


def ocr_reply(result: FlorenceResult, fields: Fields, facts: dict[str, Any]) -> OcrReply:
    """The answer to `OcrFields`."""
    places: Any = result.places if getattr(fields, "regions", False) else None
    return OcrReply(text=ocr_text(result), objects=places, finish_reason=result.finish_reason, **facts)


def text_reply(result: FlorenceResult, _: Fields, facts: dict[str, Any]) -> TextReply:
    """The answer to what asks for a text."""
    return TextReply(text=result.text, **facts)


def ocr_text(result: FlorenceResult) -> str:
    """The text of an answer, a line for each place where it has places."""
    return "\n".join(place["label"] for place in result.places) if result.places else result.text


def as_reference(task: str, result: FlorenceResult) -> str | dict[str, Any]:
    """The answer in the form of `Florence2Processor.post_process_generation`."""
    gives, places = TASKS[task].gives, result.places
    if gives == "text":
        return result.raw.replace("<s>", "").replace("</s>", "").strip()
    if gives == "boxes or polygons":
        return {
            "bboxes": _column(places, "box"),
            "bboxes_labels": [place["label"] for place in places if "box" in place],
            "polygons": _column(places, "polygons"),
            "polygons_labels": [place["label"] for place in places if "polygons" in place],
        }
    name, key = {"quads": ("quad_boxes", "quad"), "polygons": ("polygons", "polygons")}.get(
        gives, ("bboxes", "box")
    )
    return {name: _column(places, key), "labels": [place["label"] for place in places]}


def _column(places: Sequence[dict[str, Any]], key: str) -> list[Any]:
    return [place[key] for place in places if key in place]

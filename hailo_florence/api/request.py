"""From an HTTP request to a checked `CaptionRequest`: JSON with a data URI, or a form with a file."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hailo_common.errors import InvalidParameter, TooLarge
from hailo_common.images import SAMPLE
from hailo_common.images.decoder import EncodedImage
from hailo_common.web.body import read_json, release_body
from hailo_common.web.errors import from_validation
from hailo_common.web.forms import read_form
from hailo_common.web.media import FORM, JSON, decode_data_uri, require_media
from hailo_florence.api.caption_service import CaptionRequest
from hailo_florence.protocol import Task

MAX_SEED = 2**63 - 1
MAX_QUESTION = 4000


class CaptionFields(BaseModel):
    """The fields of a caption request. Unknown fields are ignored."""

    model_config = ConfigDict(extra="ignore", json_schema_extra={"examples": [{"image": SAMPLE}]})

    max_length: int | None = Field(None, description="Most tokens of the answer.")
    min_length: int | None = Field(None, description="Fewest tokens of the answer.")
    temperature: float = Field(0.0, ge=0, le=1, description="0 is deterministic.")
    seed: int | None = Field(None, ge=0, le=MAX_SEED, description="Makes sampling repeatable.")


class VqaFields(CaptionFields):
    """The fields of a question about an image."""

    model_config = ConfigDict(
        extra="ignore",
        json_schema_extra={"examples": [{"image": SAMPLE, "question": "What color is the circle?"}]},
    )

    question: str = Field(min_length=1, max_length=MAX_QUESTION, description="In plain words.")


class Reply(BaseModel):
    """What every answer carries."""

    inference_time_ms: int = Field(description="Time in the engine, without upload, decoding and waiting.")
    model: str
    token_count: int = Field(description="Tokens of the text, counted by the model's tokenizer.")


class CaptionReply(Reply):
    """A caption."""

    caption: str


class VqaReply(Reply):
    """An answer to a question."""

    answer: str


class ErrorReply(BaseModel):
    """Every error has this shape."""

    error: str = Field(description="A stable code.", examples=["queue_full"])
    message: str = Field(examples=["The queue of 8 is full."])
    status: int = Field(examples=[503])
    param: str | None = Field(None, description="The field at fault, if one is.")


_IMAGE = {"type": "string", "description": "data:image/jpeg;base64,... (JPEG, PNG or WebP)"}
_FILE = {
    "type": "string",
    "format": "binary",
    "description": "A JPEG, PNG or WebP file; `file` is accepted too.",
}


def request_body(fields: type[BaseModel]) -> dict[str, Any]:
    """The OpenAPI request body: JSON with a data URI, or a form with a file."""
    schema = fields.model_json_schema()
    examples = schema.pop("examples", [])
    properties, required = schema["properties"], schema.get("required", [])
    as_json = schema | {"properties": {"image": _IMAGE, **properties}, "required": ["image", *required]}
    as_form = schema | {"properties": {"image": _FILE, **properties}, "required": ["image", *required]}
    return {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": as_json, "example": examples[0]},
                "multipart/form-data": {"schema": as_form},
            },
        }
    }


ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorReply, "description": "The image or the body is malformed or over a limit."},
    413: {"model": ErrorReply, "description": "The image has more bytes than `max_image_bytes`."},
    415: {"model": ErrorReply, "description": "Not JPEG, PNG or WebP; or neither JSON nor a form."},
    422: {"model": ErrorReply, "description": "A field is missing or out of range; `param` names it."},
    500: {"model": ErrorReply, "description": "The model failed on this request."},
    501: {"model": ErrorReply, "description": "The loaded model cannot answer questions."},
    503: {"model": ErrorReply, "description": "Loading, busy, or replacing a lost engine; see Retry-After."},
}


_FIELDS: dict[Task, type[CaptionFields]] = {"caption": CaptionFields, "vqa": VqaFields}
_FORM_OVERHEAD = 256 * 1024
"""Room for the fields and part heads of a form, and for the texts beside an image in JSON."""


async def read_request(request: Request, task: Task, *, max_image_bytes: int) -> CaptionRequest:
    """Read and check everything but the image's contents; the caller closes the image.

    Raises ServiceError or ClientDisconnect.
    """
    if require_media(request, JSON, FORM) == FORM:
        fields, image = await _from_form(request, task, max_image_bytes)
    else:
        fields, image = await _from_json(request, task, max_image_bytes)
    if isinstance(fields, VqaFields) and not fields.question.strip():
        raise InvalidParameter("question must not be empty.", param="question")
    encoded = EncodedImage(image)
    release_body(request)
    return CaptionRequest(task=task, image=encoded, **fields.model_dump())


async def _from_json(request: Request, task: Task, limit: int) -> tuple[CaptionFields, bytes]:
    data = await read_json(request, limit=limit * 4 // 3 + _FORM_OVERHEAD)
    fields = _checked(_FIELDS[task], data, strict=True)
    image = data.get("image")
    if not isinstance(image, str):
        raise InvalidParameter("image must be a data: URL of a JPEG, PNG or WebP.", param="image")
    return fields, decode_data_uri(image, limit_bytes=limit)


async def _from_form(request: Request, task: Task, limit: int) -> tuple[CaptionFields, bytes]:
    form = await read_form(request, limit=limit + _FORM_OVERHEAD)
    fields = _checked(_FIELDS[task], form.fields, strict=False)
    image = form.files.get("image", form.files.get("file"))
    if image is None:
        raise InvalidParameter("image must be a file of the form.", param="image")
    if len(image) > limit:
        raise TooLarge("The image is larger than this service accepts.", code="image_too_large")
    return fields, image


def _checked(model: type[CaptionFields], data: Any, *, strict: bool) -> CaptionFields:
    try:
        return model.model_validate(data, strict=strict)
    except ValidationError as error:
        raise _explained(model, error) from None


def _explained(model: type[BaseModel], error: ValidationError) -> Exception:
    """The same error with the field's range in words, which pydantic gives only with the input."""
    found = from_validation(error.errors(include_url=False, include_input=False, include_context=False))
    name = getattr(found, "param", None) or ""
    field = model.model_fields.get(name)
    if field is None:
        return found
    if field.is_required() and any(item["type"] == "missing" for item in error.errors(include_input=False)):
        return InvalidParameter(f"{name} is required.", param=name)
    schema = model.model_json_schema()["properties"][name]
    return InvalidParameter(f"{name} must be {_allowed(schema)}.", param=name)


def _allowed(schema: dict[str, Any]) -> str:
    schema = next((option for option in schema.get("anyOf", ()) if option["type"] != "null"), schema)
    words = {"integer": "an integer", "number": "a number", "string": "a string"}[schema["type"]]
    if "maximum" in schema:
        return f"{words} from {schema['minimum']} to {schema['maximum']}"
    if "maxLength" in schema:
        return f"{words} of {schema['minLength']} to {schema['maxLength']} characters"
    return words

"""What crosses the wire: request fields and replies, as the OpenAPI page shows them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from hailo_common.images.sample import SAMPLE

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
    """The fields of a question about a picture."""

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
    400: {"model": ErrorReply, "description": "The picture or the body is malformed or over a limit."},
    413: {"model": ErrorReply, "description": "The picture has more bytes than `max_image_bytes`."},
    415: {"model": ErrorReply, "description": "Not JPEG, PNG or WebP; or neither JSON nor a form."},
    422: {"model": ErrorReply, "description": "A field is missing or out of range; `param` names it."},
    500: {"model": ErrorReply, "description": "The model failed on this request."},
    501: {"model": ErrorReply, "description": "The loaded model cannot answer questions."},
    503: {"model": ErrorReply, "description": "Loading, busy, or replacing a lost engine; see Retry-After."},
}

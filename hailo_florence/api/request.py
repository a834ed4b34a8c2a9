"""From an HTTP request to a checked `CaptionRequest`: JSON with images, a form, or a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from hailo_common.errors import InvalidParameter, NotFound, ServiceError
from hailo_common.web.body import read_body, read_json_or_image, release_body
from hailo_common.web.errors import from_validation
from hailo_common.web.forms import read_form
from hailo_common.web.media import FORM, IMAGE, JSON, require_media
from hailo_florence.api.caption_service import CaptionRequest
from hailo_florence.api.fields import GENERATION, Fields, TaskFields
from hailo_florence.api.sent_images import (
    RequestLimits,
    SentImages,
    image_of_body,
    images_of_files,
    images_of_json,
)
from hailo_florence.protocol import TASKS

F = TypeVar("F", bound=Fields)
_OVERHEAD = 256 * 1024
"""Room for the fields and part heads of a form, and for the texts beside an image in JSON."""


def task_named(name: str) -> str:
    """A task's name from an address: as in `TASKS`, or its token; raises NotFound."""
    plain = name.strip("<>").lower().replace("-", "_")
    if plain not in TASKS:
        raise NotFound("There is no such task; GET /v1/tasks names them.", code="task_not_found")
    return plain


@dataclass(frozen=True)
class Asked(Generic[F]):
    """A checked request and its images, as far as they could be read; close `images`."""

    request: CaptionRequest
    fields: F
    images: SentImages
    camera: str | None


async def read_request(
    request: Request, kind: type[F], *, limits: RequestLimits, task: str | None = None
) -> Asked[F]:
    """Read and check everything but the images' contents.

    `task` is the one of the address, where the fields do not say it. Raises ServiceError or ClientDisconnect.
    """
    media = require_media(request, FORM, IMAGE, JSON)
    read = {FORM: _from_form, IMAGE: _from_image, JSON: _from_json}[media]
    asked = _asked(*await read(request, kind, limits), task)
    release_body(request)
    return asked


def _asked(fields: F, images: SentImages, task: str | None) -> Asked[F]:
    """What is asked of `images`, which are closed where it cannot be."""
    try:
        return Asked(CaptionRequest(**_about_image(fields, task)), fields, images, fields.watched())
    except ServiceError:
        images.close()
        raise


def _about_image(fields: Fields, task: str | None) -> dict[str, Any]:
    name = task or fields.task()
    if isinstance(fields, TaskFields):
        fields.for_task(name)
    words = fields.words()
    if words is not None and not words.strip():
        param = "question" if name == "vqa" and task is None else "text"
        raise InvalidParameter(f"{param} must not be empty.", param=param)
    return {
        "task": name,
        "question": words,
        "box": getattr(fields, "box", None),
        "normalised": getattr(fields, "normalised", False),
        **{each: getattr(fields, each) for each in GENERATION},
    }


def json_limit(limits: RequestLimits) -> int:
    """The largest body in JSON, in bytes."""
    return limits.body_bytes * 4 // 3 + _OVERHEAD


def read_data(data: dict[str, Any], kind: type[F], limits: RequestLimits) -> Asked[F]:
    """As `read_request`, of what was JSON."""
    return _asked(*_in_json(data, kind, limits), None)


async def _from_json(request: Request, kind: type[F], limits: RequestLimits) -> tuple[F, SentImages]:
    found = await read_json_or_image(request, limit=json_limit(limits))
    if isinstance(found, bytes):
        return _as_body(request, kind, found, limits)
    return _in_json(found, kind, limits)


def _in_json(data: dict[str, Any], kind: type[F], limits: RequestLimits) -> tuple[F, SentImages]:
    fields = _checked(kind, data, strict=True)
    return fields, images_of_json(data, limits)


async def _from_form(request: Request, kind: type[F], limits: RequestLimits) -> tuple[F, SentImages]:
    form = await read_form(request, limit=limits.body_bytes + _OVERHEAD)
    fields = _checked(kind, form.fields, strict=False)
    return fields, images_of_files(form.files, limits)


async def _from_image(request: Request, kind: type[F], limits: RequestLimits) -> tuple[F, SentImages]:
    return _as_body(request, kind, await read_body(request, limit=limits.image_bytes), limits)


def _as_body(request: Request, kind: type[F], body: bytes, limits: RequestLimits) -> tuple[F, SentImages]:
    """The body is the image; fields stand in the address (`?question=...`)."""
    fields = _checked(kind, dict(request.query_params), strict=False)
    return fields, image_of_body(body, limits)


def _checked(model: type[F], data: Any, *, strict: bool) -> F:
    try:
        return model.model_validate(data, strict=strict)
    except ValidationError as error:
        raise _explained(model, error) from None


def _explained(model: type[BaseModel], error: ValidationError) -> Exception:
    """The same error with the field's range in words, which pydantic gives only with the input."""
    found = from_validation(error.errors(include_url=False, include_input=False, include_context=False))
    name = (getattr(found, "param", None) or "").partition(".")[0]
    field = model.model_fields.get(name)
    if field is None:
        return found
    if field.is_required() and any(item["type"] == "missing" for item in error.errors(include_input=False)):
        return InvalidParameter(f"{name} is required.", param=name)
    schema = model.model_json_schema()["properties"][name]
    return InvalidParameter(f"{name} must be {_allowed(schema)}.", param=name)


def _allowed(schema: dict[str, Any]) -> str:
    options = [option for option in schema.get("anyOf", ()) if option["type"] != "null"]
    if options:
        return " or ".join(map(_allowed, options))
    if "enum" in schema:
        return f"one of {', '.join(schema['enum'])}"
    if schema["type"] == "array":
        return f"{schema['minItems']} numbers"
    words = {"integer": "an integer", "number": "a number", "string": "a string", "boolean": "true or false"}
    return words[schema["type"]] + _range(schema)


def _range(schema: dict[str, Any]) -> str:
    if "exclusiveMinimum" in schema:
        return f" above {schema['exclusiveMinimum']}, at most {schema['maximum']}"
    if "maximum" in schema:
        return f" from {schema['minimum']} to {schema['maximum']}"
    if "maxLength" in schema:
        return f" of {schema['minLength']} to {schema['maxLength']} characters"
    return ""

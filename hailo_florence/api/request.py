"""From an HTTP request to a checked `CaptionRequest`: JSON with an image, a form, or a file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from hailo_common.errors import InvalidParameter, NotFound, ServiceError
from hailo_common.images.decoder import EncodedImage
from hailo_common.images.image_text import read_image_file, read_image_text
from hailo_common.web.body import read_body, read_json, release_body
from hailo_common.web.errors import from_validation
from hailo_common.web.forms import read_form
from hailo_common.web.media import FORM, IMAGE, JSON, require_media
from hailo_florence.api.caption_service import CaptionRequest
from hailo_florence.api.fields import Fields, TaskFields
from hailo_florence.protocol import TASKS

F = TypeVar("F", bound=Fields)
_IMAGE_NAMES = ("image", "image_url", "images", "file", "data", "input_image")
_FORM_OVERHEAD = 256 * 1024
"""Room for the fields and part heads of a form, and for the texts beside an image in JSON."""


def task_named(name: str) -> str:
    """A task's name from an address: as in `TASKS`, or its token; raises NotFound."""
    plain = name.strip("<>").lower().replace("-", "_")
    if plain not in TASKS:
        raise NotFound("There is no such task; GET /v1/tasks names them.", code="task_not_found")
    return plain


async def read_request(
    request: Request, kind: type[F], *, max_image_bytes: int, task: str | None = None
) -> tuple[CaptionRequest, F]:
    """Read and check everything but the image's contents; the caller closes the image.

    `task` is the one of the address, where the fields do not say it. Raises ServiceError or ClientDisconnect.
    """
    media = require_media(request, FORM, IMAGE, JSON)
    if media == FORM:
        fields, image = await _from_form(request, kind, max_image_bytes)
    elif media == IMAGE:
        fields, image = await _from_image(request, kind, max_image_bytes)
    else:
        fields, image = await _from_json(request, kind, max_image_bytes)
    asked = _asked(fields, task)
    encoded = EncodedImage(image)
    release_body(request)
    return CaptionRequest(image=encoded, **asked), fields


def _asked(fields: Fields, task: str | None) -> dict[str, Any]:
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
        **{each: getattr(fields, each) for each in Fields.model_fields},
    }


async def _from_json(request: Request, kind: type[F], limit: int) -> tuple[F, bytes]:
    data = await read_json(request, limit=limit * 4 // 3 + _FORM_OVERHEAD)
    fields = _checked(kind, data, strict=True)
    name = next((name for name in _IMAGE_NAMES if data.get(name) is not None), "image")
    image = data.get(name)
    image = image.get("url", image.get("data")) if isinstance(image, dict) else image
    if not isinstance(image, str):
        raise InvalidParameter("image must be an image as a data: URL or in base64.", param="image")
    return fields, _named(name, lambda: read_image_text(image, limit_bytes=limit))


async def _from_form(request: Request, kind: type[F], limit: int) -> tuple[F, bytes]:
    form = await read_form(request, limit=limit + _FORM_OVERHEAD)
    fields = _checked(kind, form.fields, strict=False)
    name, image = next(iter(form.files), ("image", b""))
    if not image:
        raise InvalidParameter("image must be a file of the form.", param="image")
    return fields, _named(name, lambda: read_image_file(image, limit_bytes=limit))


async def _from_image(request: Request, kind: type[F], limit: int) -> tuple[F, bytes]:
    """The body is the image; fields stand in the address (`?question=...`)."""
    fields = _checked(kind, dict(request.query_params), strict=False)
    image = await read_body(request, limit=limit)
    return fields, _named("image", lambda: read_image_file(image, limit_bytes=limit))


def _named(param: str, read: Callable[[], bytes]) -> bytes:
    """What `read` gives; its error names the field."""
    try:
        return read()
    except ServiceError as error:
        error.param = error.param or param
        raise


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
    schema = next((option for option in schema.get("anyOf", ()) if option["type"] != "null"), schema)
    if "enum" in schema:
        return f"one of {', '.join(schema['enum'])}"
    if schema["type"] == "array":
        return f"{schema['minItems']} numbers"
    words = {"integer": "an integer", "number": "a number", "string": "a string", "boolean": "true or false"}
    kind = words[schema["type"]]
    if "maximum" in schema:
        return f"{kind} from {schema['minimum']} to {schema['maximum']}"
    if "maxLength" in schema:
        return f"{kind} of {schema['minLength']} to {schema['maxLength']} characters"
    return kind

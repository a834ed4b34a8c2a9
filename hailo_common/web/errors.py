"""Where error kinds meet HTTP: one table of statuses, and what a format of error bodies is.

Messages are fixed texts: neither what a client sent nor what a library said is repeated, but for the harmless
characters of an address or a model's name that is not here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from starlette.responses import Response

from hailo_common.errors import (
    RETRY_AFTER_MAX_S,
    BadRequest,
    BadStructure,
    EngineFailed,
    InvalidParameter,
    NotFound,
    NotSupported,
    ServiceError,
    TooLarge,
    Unauthorized,
    Unavailable,
    Undecodable,
    UnsupportedMedia,
)


class ErrorFormat(Protocol):
    """How one API reports errors: the body, and where its statuses and headers differ from the table's."""

    def __call__(self, status: int, error: ServiceError) -> dict[str, Any]:
        """The body of an error answer."""
        ...

    def http_status(self, error: ServiceError) -> int:
        """The status of an error."""
        ...

    def headers_of(self, status: int, error: ServiceError) -> dict[str, str]:
        """Headers beside those that every API sends."""
        ...


class RequestTimeout(ServiceError):
    """The request did not arrive in time."""

    code = "request_timeout"


class Misdirected(ServiceError):
    """The Host is not one of this machine's names."""

    code = "misdirected_request"


class CrossOrigin(ServiceError):
    """A page of another site tried to use the service."""

    code = "cross_origin_refused"


class HttpRefusal(ServiceError):
    """A refusal that HTTP itself defines (404, 405, 431, ...), with its own status."""

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message, code=code)
        self.status = status
        self.headers = dict(headers or {})


STATUSES: dict[type[ServiceError], int] = {
    BadRequest: 400,
    TooLarge: 413,
    UnsupportedMedia: 415,
    InvalidParameter: 422,
    Undecodable: 422,
    NotSupported: 501,
    NotFound: 404,
    Unauthorized: 401,
    Unavailable: 503,
    EngineFailed: 500,
    BadStructure: 502,
    RequestTimeout: 408,
    Misdirected: 421,
    CrossOrigin: 403,
    ServiceError: 500,
}


def http_status(error: ServiceError) -> int:
    """The HTTP status for an error: that of its nearest class in the table."""
    if isinstance(error, HttpRefusal):
        return error.status
    return next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)


class FlatFormat:
    """`{"error", "message", "status"}`, with `param` when there is one, and the table's statuses."""

    def __call__(self, status: int, error: ServiceError) -> dict[str, Any]:
        """See `ErrorFormat`."""
        body: dict[str, Any] = {"error": error.code, "message": error.message, "status": status}
        if error.param is not None:
            body["param"] = error.param
        return body

    def http_status(self, error: ServiceError) -> int:
        """See `ErrorFormat.http_status`."""
        return http_status(error)

    def headers_of(self, status: int, error: ServiceError) -> dict[str, str]:  # noqa: ARG002
        """See `ErrorFormat.headers_of`."""
        return {}


flat_format: ErrorFormat = FlatFormat()


def encode(error_format: ErrorFormat, error: ServiceError) -> tuple[int, bytes, dict[str, str]]:
    """Status, body and extra headers of the answer to an error."""
    status = error_format.http_status(error)
    headers = error_format.headers_of(status, error)
    if isinstance(error, HttpRefusal):
        headers |= error.headers
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    if error.retry_after is not None and status in (429, 503):
        headers["retry-after"] = str(max(1, min(error.retry_after, RETRY_AFTER_MAX_S)))
    return status, json.dumps(error_format(status, error)).encode(), headers


def render(error_format: ErrorFormat, error: ServiceError) -> Response:
    """The answer to an error."""
    status, body, headers = encode(error_format, error)
    return Response(body, status_code=status, headers=headers, media_type="application/json")


_SAFE_PARAM = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def from_validation(errors: Sequence[Any]) -> ServiceError:
    """The error for what pydantic reports, without the input it quotes."""
    first: Mapping[str, Any] = errors[0] if errors else {}
    kind = str(first.get("type", ""))
    if kind.startswith("json_"):
        return BadRequest("The body is not valid JSON.", code="invalid_json")
    path = [str(step) for step in first.get("loc", ())]
    # FastAPI begins with the part of the request ("body"); a client knows only the field.
    param = ".".join(path[1:] if path[:1] in (["body"], ["query"], ["path"], ["header"]) else path)
    message = "A required field is missing." if kind == "missing" else "A field has a value out of its range."
    return InvalidParameter(message, param=param if _SAFE_PARAM.fullmatch(param) else None)

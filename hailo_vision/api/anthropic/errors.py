"""How Anthropic's API reports errors."""

from __future__ import annotations

from typing import Any

from hailo_common.errors import InvalidParameter, ServiceError, Unavailable
from hailo_common.systemd.record import request_id
from hailo_common.web.errors import FlatFormat
from hailo_common.web.streams.event_stream import SSE, StreamForm, event

_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
}


class AnthropicFormat(FlatFormat):
    """`{"type": "error", "error": {"type", "message"}, "request_id"}`; a bad field is 400 there."""

    def __call__(self, status: int, error: ServiceError) -> dict[str, Any]:
        """See `ErrorFormat`."""
        kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")
        # The field is part of the text there.
        where = f"{error.param}: " if error.param and error.param not in error.message else ""
        told = {"type": kind, "message": f"{where}{error.message}"}
        return {"type": "error", "error": told, "request_id": request_id.get()}

    def http_status(self, error: ServiceError) -> int:
        """See `ErrorFormat.http_status`."""
        return 400 if isinstance(error, InvalidParameter) else super().http_status(error)

    def headers_of(self, status: int, error: ServiceError) -> dict[str, str]:
        """See `ErrorFormat.headers_of`."""
        is_final = status >= 500 and not isinstance(error, Unavailable)
        return {"x-should-retry": "false"} if is_final else {}


anthropic_format = AnthropicFormat()
FORM = StreamForm(
    SSE,
    event({"type": "ping"}, "ping"),
    lambda error: event(anthropic_format(anthropic_format.http_status(error), error), "error"),
)

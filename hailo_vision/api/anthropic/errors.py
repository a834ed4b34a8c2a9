"""How Anthropic's API reports errors."""

from __future__ import annotations

from typing import Any

from hailo_common.errors import ServiceError
from hailo_common.systemd.record import request_id
from hailo_common.web.streams.event_stream import SSE, StreamForm, event
from hailo_vision.api.openai.errors import OpenAIFormat

_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
}


class AnthropicFormat(OpenAIFormat):
    """`{"type": "error", "error": {"type", "message"}, "request_id"}`; statuses and headers as OpenAI's."""

    def __call__(self, status: int, error: ServiceError) -> dict[str, Any]:
        """See `ErrorFormat`."""
        kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")
        # The field is part of the text there.
        where = f"{error.param}: " if error.param and error.param not in error.message else ""
        told = {"type": kind, "message": f"{where}{error.message}"}
        return {"type": "error", "error": told, "request_id": request_id.get()}


anthropic_format = AnthropicFormat()
FORM = StreamForm(
    SSE,
    event({"type": "ping"}, "ping"),
    lambda error: event(anthropic_format(anthropic_format.http_status(error), error), "error"),
)

"""How OpenAI's API reports errors."""

from __future__ import annotations

from typing import Any

from hailo_common.errors import InvalidParameter, ServiceError, Unavailable
from hailo_common.web.errors import FlatFormat


class OpenAIFormat(FlatFormat):
    """`{"error": {"message", "type", "param", "code"}}`; a field out of its range is 400 there."""

    def __call__(self, status: int, error: ServiceError) -> dict[str, Any]:
        """See `ErrorFormat`."""
        kind = "invalid_request_error" if status < 500 else "server_error"
        return {"error": {"message": error.message, "type": kind, "param": error.param, "code": error.code}}

    def http_status(self, error: ServiceError) -> int:
        """See `ErrorFormat.http_status`."""
        return 400 if isinstance(error, InvalidParameter) else super().http_status(error)

    def headers_of(self, status: int, error: ServiceError) -> dict[str, str]:
        """See `ErrorFormat.headers_of`."""
        # The clients of OpenAI and Anthropic try every 5xx again unless told that this would be useless.
        is_final = status >= 500 and not isinstance(error, Unavailable)
        return {"x-should-retry": "false"} if is_final else {}


openai_format = OpenAIFormat()

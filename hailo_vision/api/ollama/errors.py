"""How Ollama's API reports errors."""

from __future__ import annotations

from typing import Any

from hailo_common.errors import InvalidParameter, ServiceError
from hailo_common.web.errors import FlatFormat
from hailo_common.web.streams.event_stream import NDJSON, StreamForm, line


class OllamaFormat(FlatFormat):
    """`{"error": "..."}`: the message alone, whole and in a stream. A field out of its range is 400 there."""

    def __call__(self, status: int, error: ServiceError) -> dict[str, Any]:  # noqa: ARG002
        """See `ErrorFormat`."""
        return {"error": error.message}

    def http_status(self, error: ServiceError) -> int:
        """See `ErrorFormat.http_status`."""
        return 400 if isinstance(error, InvalidParameter) else super().http_status(error)


ollama_format = OllamaFormat()
# A client reads every line as an object, so that nothing may be sent while an answer is silent.
FORM = StreamForm(NDJSON, b"", lambda error: line(ollama_format(500, error)))

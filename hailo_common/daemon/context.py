"""What a log line may want to know about the request it belongs to."""

from __future__ import annotations

from contextvars import ContextVar

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The id of the request this task works on; empty outside a request."""

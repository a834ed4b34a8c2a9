"""How the service is, for a page that asks every few seconds: never a word of what was asked."""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any

from fastapi import FastAPI

from hailo_common.engine.pool import EnginePool
from hailo_common.host import drained, temperature_c, throttling
from hailo_common.owner import owner
from hailo_common.web.health import health_report
from hailo_common.web.metrics import Metrics
from hailo_common.web.state import ModelRows, ServerState, server_state_of

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_MODELS_S = 5.0


def add_status_routes(app: FastAPI, pool: EnginePool, metrics: Metrics) -> None:
    """Add `/v1/status` and `/v1/status/models`."""
    state = server_state_of(app)
    models = _Models(state)

    @app.get("/v1/status", tags=["service"], summary="The service, its queue and the last requests")
    async def status(request: str = "") -> dict[str, Any]:
        """As `/health`, with the machine, the caller's last requests, and the place of one that waits."""
        report = health_report(pool, metrics)
        report["queue"]["retry_after_s"] = pool.shown.queue.retry_after if pool.waiting else 0
        return {
            "service": app.title,
            "name": state.model_name or report.get("model"),
            **report,
            "host": {"temperature_c": temperature_c(), "throttling": throttling(), "drained": drained()},
            "place": _place(pool, request) if _REQUEST_ID.fullmatch(request) else None,
            "requests": _requests(state),
            "docs": app.openapi_url is not None,
        }

    @app.get("/v1/status/models", tags=["service"], summary="The models of this machine")
    async def models_here() -> dict[str, Any]:
        """Every model that the manifests name for this service, its state, and how far its fetch is."""
        return {"models": await models.rows(app.title)}


def _place(pool: EnginePool, name: str) -> dict[str, Any] | None:
    """Where a request stands that waits, by its X-Request-ID; None when it does not wait."""
    for each in pool.models:
        place = each.queue.place(name)
        if place is not None:
            return {"ahead": place.ahead, "wait_s": round(place.seconds, 1)}
    return None


def _requests(state: ServerState) -> list[dict[str, Any]]:
    """The caller's own, the newest first."""
    mine = owner.get()
    return [each.to_json() for each in reversed(state.recent) if each.owner == mine]


class _Models:
    """The rows of the manifests, read in a thread, and at most every few seconds for all who ask."""

    def __init__(self, state: ServerState) -> None:
        self._state = state
        self._rows: ModelRows = []
        self._read_at: float | None = None
        self._lock = asyncio.Lock()

    async def rows(self, service: str) -> ModelRows:
        """Those of a service."""
        async with self._lock:
            if self._read_at is None or time.monotonic() - self._read_at > _MODELS_S:
                self._rows = await asyncio.to_thread(self._state.list_models)
                self._read_at = time.monotonic()
        return [row for row in self._rows if row.get("service") == service]

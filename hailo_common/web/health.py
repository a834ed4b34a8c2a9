"""`/`, `/health`, `/health/ready` (also `/readyz`) and `/metrics` of both services."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from hailo_common import __version__
from hailo_common.engine.contract import EngineInfo
from hailo_common.engine.pool import EnginePool
from hailo_common.engine.state import EngineState
from hailo_common.host import REASON, drained
from hailo_common.npu.device_nodes import device_nodes, driver_version
from hailo_common.web.metrics import CONTENT_TYPE, Metrics
from hailo_common.web.page.assets import wants_page
from hailo_common.web.state import server_state_of

_HOPELESS = {"ModelMissing", "ModelError", "DeviceLost"}
_RESTARTS_IN_A_ROW = 3


def health_status(state: EngineState) -> str:
    """`healthy`, `degraded` (answers soon or with a fallback) or `unhealthy` (will not answer by itself)."""
    if state.stuck or state.phase in ("failed", "stopped"):
        return "unhealthy"
    if state.phase == "loading" and state.kind in _HOPELESS:
        return "unhealthy"
    if state.phase == "restarting":
        return "unhealthy" if state.kind in _HOPELESS or state.failures >= _RESTARTS_IN_A_ROW else "degraded"
    fell_back = state.info is not None and any(stage.fell_back for stage in state.info.stages)
    return "healthy" if state.admits and not fell_back and not state.silent_s else "degraded"


def pool_status(pool: EnginePool) -> str:
    """The same of a service: one of several models that fails makes it `degraded`, all `unhealthy`."""
    if not pool.several:
        return health_status(pool.default.engine.state)
    failed = {
        each.state == "failed" or health_status(each.engine.state) == "unhealthy" for each in pool.models
    }
    degraded = not pool.admits or any(health_status(each.engine.state) != "healthy" for each in pool.models)
    return "unhealthy" if failed == {True} else "degraded" if True in failed or degraded else "healthy"


def health_report(pool: EnginePool, metrics: Metrics) -> dict[str, Any]:
    """The body of `/health`: what a probe reads first, then what an operator asks next.

    Of several models the fields of one are about the loaded one that was used last.
    """
    state = pool.shown.engine.state
    memory = metrics.memory()
    report: dict[str, Any] = {
        "status": pool_status(pool),
        "model_loaded": any(each.engine.state.ready for each in pool.models),
        "uptime_seconds": round(metrics.uptime(), 1),
        "version": __version__,
        "hailo_device": "connected" if device_nodes() else "disconnected",
        "hailo_driver": driver_version() or None,
        **state.vitals,
        **_model_report(state.info),
        "model_source": state.origin or None,
        "engine": {
            "phase": state.phase,
            "pid": state.pid,
            "load_seconds": round(state.load_seconds, 3),
            "restarts": state.restarts,
            "device_losses": state.device_losses,
            "last_exit": state.last_exit or None,
        },
        "queue": {"running": pool.running, "waiting": pool.waiting, "size": pool.size},
        "memory_mb": {name: round(size / 1e6, 1) for name, size in memory.items()},
        "memory_usage_mb": round(sum(memory.values()) / 1e6, 1),
    }
    if damaged := [text for each in pool.models for text in each.engine.state.damaged.values()]:
        report["damaged_files"] = damaged
    return report | (_models(pool) if pool.several else _explanation(state))


def _models(pool: EnginePool) -> dict[str, Any]:
    """The models, the memory that they share, and why one of them is not to be had."""
    rows = [each.report() for each in pool.models]
    failed = [f"{row['name']}: {row['reason']}" for row in rows if row["state"] == "failed"]
    report: dict[str, Any] = {"models": rows}
    if pool.places is not None:
        budget = pool.places.budget()
        report["models_memory"] = {
            "used_mb": round(pool.places.used / 1e6, 1),
            "budget_mb": round(budget.memory / 1e6, 1),
            "set_by": budget.origin,
        }
    return report | ({"error": "; ".join(failed)} if failed else {})


def _explanation(state: EngineState) -> dict[str, str]:
    reason = "device_unresponsive: three requests outlasted their deadline" if state.stuck else state.reason
    reason = reason or _silence(state)
    # Nothing is wrong with a model that is away because nobody needed it.
    explanation = {"note" if state.idle else "error": reason} if reason else {}
    return explanation | ({"code": state.code} if state.code else {})


def _silence(state: EngineState) -> str:
    """Why an engine at work seems to hang; empty when it does not."""
    silent = state.silent_s
    return f"the engine has said nothing for {silent:.0f} s while it works on a request" if silent else ""


def _model_report(info: EngineInfo | None) -> dict[str, Any]:
    return {
        "model": info and info.model,
        "description": info and info.description,
        "demo": bool(info and info.demo),
        "fingerprint": info and info.fingerprint,
        "stages": [stage.to_json() for stage in info.stages] if info else [],
        "limits": dict(info.limits) if info else {},
    }


def add_health_routes(app: FastAPI, pool: EnginePool, metrics: Metrics) -> None:
    """Add the routes for probes; they never touch the engine and answer while it works."""

    @app.get("/", tags=["service"], summary="What runs here", response_model=None)
    async def root(request: Request) -> Response:
        """A page for browsers, JSON for everybody else."""
        page = server_state_of(request).page
        if page is not None and wants_page(request.headers):
            return page.index.answer(request)
        return JSONResponse(
            {"service": app.title, "version": __version__, "status": pool_status(pool)},
            headers={"vary": "accept"},
        )

    @app.get("/health", tags=["service"], summary="State of the service")
    async def health() -> JSONResponse:
        report = health_report(pool, metrics)
        return JSONResponse(report, 503 if report["status"] == "unhealthy" else 200)

    @app.get("/readyz", include_in_schema=False)
    @app.get("/health/ready", tags=["service"], summary="Can it answer now?")
    async def ready() -> JSONResponse:
        state = pool.shown.engine.state
        reason = "the service is stopping" if pool.stopping else REASON if drained() else _silence(state)
        if pool.admits and not reason:
            return JSONResponse({"ready": True} | ({} if state.ready else {"phase": state.phase}))
        reason = reason or state.reason
        refusal = {"ready": False, "reason": reason} | ({"code": state.code} if state.code else {})
        return JSONResponse(refusal, 503, headers={"Retry-After": str(state.retry_after)})

    @app.get("/metrics", tags=["service"], summary="Prometheus metrics")
    async def show_metrics(request: Request) -> Response:
        if "application/json" in request.headers.get("accept", ""):
            return JSONResponse(metrics.summary())
        return Response(metrics.prometheus(), headers={"Content-Type": CONTENT_TYPE})

"""Builds everything hailo-vision consists of. Nothing else constructs more than it owns."""

from __future__ import annotations

from collections.abc import Sequence

from hailo_common.engine.session import StartedEngine
from hailo_common.models.selection import ServedFolder
from hailo_common.service import Service, assemble
from hailo_common.web.health import add_health_routes
from hailo_common.web.limits import KIB, MIB
from hailo_common.web.page.status import add_status_routes
from hailo_common.web.state import server_state_of
from hailo_vision.api.catalogue import Catalogue
from hailo_vision.api.chat_request import RequestLimits
from hailo_vision.api.chat_service import ChatService, StreamSettings
from hailo_vision.api.openai.errors import openai_format
from hailo_vision.api.routes import add_routes
from hailo_vision.config import ENGINE, SERVICE, VisionSettings
from hailo_vision.memory import model_needs
from hailo_vision.metrics import VisionMetrics


def build(
    settings: VisionSettings,
    model_dir: str,
    *,
    factory: str = ENGINE,
    started: StartedEngine | None = None,
    served: Sequence[ServedFolder] = (),
) -> Service:
    """Everything, built and not started."""
    web = {
        # Small images count as text, since only long strings are cut out before parsing.
        "json_text_bytes": MIB + settings.max_images * 64 * KIB,
        # Some hundred tools of a Home Assistant; the bytes of the text bound what they can weigh.
        "json_containers": 20_000,
        "form_files": settings.max_images,
    }
    service = assemble(
        SERVICE,
        settings,
        factory=factory,
        model_dir=model_dir,
        error_format=openai_format,
        started=started,
        web=web,
        patience_s=settings.background_patience_s,
        image_cache_bytes=settings.picture_cache_mb * MIB // 4,
        served=served,
        needs=lambda folder: model_needs(settings, folder),
        models_memory_mb=settings.models_memory_mb,
    )
    pool, app = service.pool, service.app
    metrics = VisionMetrics(pool, server_state_of(app), service.memory)
    limits = RequestLimits(
        body_bytes=settings.max_body_bytes,
        images=settings.max_images,
        image_bytes=settings.max_image_bytes,
        context_policy="drop_oldest" if settings.context_policy == "drop_oldest" else "refuse",
        max_new_tokens=settings.max_new_tokens,
        temperature=settings.default_temperature,
    )
    stream_settings = StreamSettings(settings.ping_interval_s, settings.slow_inference_s)
    catalogue = Catalogue(pool, settings.model_aliases)
    server_state_of(app).model_name = next(iter(settings.model_aliases), "")
    chat_service = ChatService(
        pool=pool,
        decoder=service.decoder,
        metrics=metrics,
        catalogue=catalogue,
        limits=limits,
        stream_settings=stream_settings,
    )
    add_routes(app, chat_service)
    add_health_routes(app, pool, metrics)
    if settings.page:
        add_status_routes(app, pool, metrics)
    return service

"""Builds everything hailo-florence consists of. Nothing else constructs more than it owns."""

from __future__ import annotations

from collections.abc import Sequence

from hailo_common.engine.session import StartedEngine
from hailo_common.models.selection import ServedFolder
from hailo_common.service import Service, assemble
from hailo_common.web.errors import flat_format
from hailo_common.web.health import add_health_routes
from hailo_common.web.limits import KIB, MIB, HttpLimits
from hailo_common.web.metrics import Metrics
from hailo_common.web.page.status import add_status_routes
from hailo_common.web.state import server_state_of
from hailo_florence.api.caption_service import CaptionLimits, CaptionService
from hailo_florence.api.routes import add_routes
from hailo_florence.api.sent_images import RequestLimits
from hailo_florence.api.tools import add_tools
from hailo_florence.config import ENGINE, SERVICE, FlorenceSettings


def build(
    settings: FlorenceSettings,
    model_dir: str,
    *,
    factory: str = ENGINE,
    started: StartedEngine | None = None,
    served: Sequence[ServedFolder] = (),
) -> Service:
    """Everything, built and not started."""
    web = {
        # Small images count as text, since only long strings are cut out before parsing.
        "json_text_bytes": HttpLimits.json_text_bytes + settings.max_images * 64 * KIB,
        "form_files": settings.max_images,
        "form_fields": 16,
    }
    service = assemble(
        SERVICE,
        settings,
        factory=factory,
        model_dir=model_dir,
        error_format=flat_format,
        started=started,
        web=web,
        image_cache_bytes=settings.picture_cache_mb * MIB // 4,
        served=served,
    )
    metrics = Metrics("hailo_florence", service.pool, server_state_of(service.app), service.memory)
    limits = CaptionLimits(
        max_length_limit=settings.max_length_limit,
        default_max_length=settings.default_max_length,
        max_length_places=settings.max_length_places,
        slow_inference_s=settings.slow_inference_s,
        ping_s=settings.ping_interval_s,
        scene_threshold=settings.scene_threshold,
        scene_keep_s=settings.scene_keep_s,
        request=RequestLimits(
            images=settings.max_images,
            image_bytes=settings.max_image_bytes,
            body_bytes=max(settings.max_body_bytes, settings.max_image_bytes),
        ),
    )
    caption_service = CaptionService(service.queue, service.decoder, metrics, limits)
    add_routes(service.app, caption_service)
    add_tools(service.app, caption_service)
    add_health_routes(service.app, service.pool, metrics)
    if settings.page:
        add_status_routes(service.app, service.pool, metrics)
    return service

"""Builds everything hailo-florence consists of. Nothing else constructs more than it owns."""

from __future__ import annotations

from hailo_common.service import Service, assemble
from hailo_common.web.errors import flat_shape
from hailo_common.web.health import add_health_routes
from hailo_common.web.metrics import Metrics
from hailo_common.web.state import front_door
from hailo_florence.api.caption_service import FlorenceWorker, Limits
from hailo_florence.api.routes import add_routes
from hailo_florence.config import SERVICE, Settings

ENGINE = "hailo_florence.engine:make_engine"


def build(settings: Settings, model_dir: str, *, factory: str = ENGINE) -> Service:
    """Everything, built and not started."""
    service = assemble(SERVICE, settings, factory=factory, options={"model_dir": model_dir}, shape=flat_shape)
    metrics = Metrics("hailo_florence", service.lane, front_door(service.app), service.memory)
    limits = Limits(settings.max_length_limit, settings.default_max_length, settings.slow_inference_s)
    add_routes(service.app, FlorenceWorker(service.lane, service.decoder, metrics, limits))
    add_health_routes(service.app, service.lane, metrics)
    return service

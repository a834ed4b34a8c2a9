"""What the table of keys gives by default, for tests of parts that have no defaults of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hailo_common import service
from hailo_common.config.common_keys import CommonSettings
from hailo_common.engine.session import EngineSpec
from hailo_common.images import decode as images
from hailo_common.images.limits import Buffer, ImageLimits
from hailo_common.images.resize import ResizeSpec

SETTINGS = CommonSettings()


def image_limits(**changes: Any) -> ImageLimits:
    """The limits of images, some changed."""
    return replace(service.image_limits(SETTINGS), **changes)


def engine_spec(factory: str, options: Mapping[str, Any], **changes: Any) -> EngineSpec:
    """An engine made by `factory`, with some of its times changed."""
    spec = EngineSpec(
        service="test",
        factory=factory,
        options=options,
        log_level=SETTINGS.log_level,
        load_timeout_s=SETTINGS.load_timeout_s,
        request_timeout_s=SETTINGS.request_timeout_s,
        keep_alive_s=SETTINGS.keep_alive_s,
    )
    return replace(spec, **changes)


def decode(data: Buffer, target: ResizeSpec, limits: ImageLimits | None = None) -> images.Decoded:
    """Decode in this process."""
    return images.decode(data, target, limits or image_limits())

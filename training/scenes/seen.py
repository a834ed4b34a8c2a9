"""A picture file as the services' own decoder hands it to an engine: for measuring."""

from __future__ import annotations

import numpy as np

from hailo_common.config.common_keys import CommonSettings
from hailo_common.engine.contract import RgbImage
from hailo_common.images.decode import decode
from hailo_common.images.resize import ResizeSpec
from hailo_common.service import image_limits


def seen(data: bytes, target: ResizeSpec) -> RgbImage:
    """The picture uint8 [height, width, 3], resized as an engine wants it. Raises what the decoder does."""
    decoded = decode(data, target, image_limits(CommonSettings()))
    pixels = np.frombuffer(decoded.rgb, dtype=np.uint8)
    return pixels.reshape(decoded.height, decoded.width, 3)

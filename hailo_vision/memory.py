"""What the configuration's memory keys come to on this machine, for every engine on the CPU."""

from __future__ import annotations

from hailo_common.systemd.memory import cgroup_reading, machine_bytes
from hailo_vision.config import VisionSettings

_MB, _GIB = 1 << 20, 1 << 30
_IMAGE_TOKENS = ((12 * _GIB, 1280), (6 * _GIB, 768), (3 * _GIB, 384))
_FEWEST = 192


def memory_limit(settings: VisionSettings) -> int:
    """Bytes that the service may use: as configured, else the control group's limit, else the machine's."""
    if settings.memory_max_mb:
        return settings.memory_max_mb * _MB
    reading = cgroup_reading()
    return reading.limit if reading else machine_bytes()


def max_image_tokens(settings: VisionSettings) -> int:
    """Tokens that an image may take: as configured, else what the machine can spare, 768 with 8 GB.

    A service that may use half of the machine or more counts as having it for itself.
    """
    if settings.max_image_tokens:
        return settings.max_image_tokens
    size = min(2 * memory_limit(settings), machine_bytes())
    return next((tokens for least, tokens in _IMAGE_TOKENS if size >= least), _FEWEST)

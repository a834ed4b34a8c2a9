"""The keys of hailo-florence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from hailo_common.config.common_keys import PORT, CommonSettings
from hailo_common.config.schema import choice, config_key, integer, keys_of, number

SERVICE = "hailo-florence"
ENGINE = "hailo_florence.engine:make_engine"
"""What makes the engine, in its own process."""


@dataclass(frozen=True, kw_only=True)
class FlorenceSettings(CommonSettings):
    """Settings of hailo-florence."""

    PREPARE: ClassVar[str] = "hailo_florence.prepare:prepare"

    port: int = config_key(11438, PORT, "TCP port to listen on")
    cpu_quota_percent: int = config_key(
        70, integer(0, 100), "Share of the whole machine's CPU; 0 is no limit", "%"
    )
    memory_max_mb: int = config_key(
        3072,
        integer(0, 1_048_576),
        "Memory budget, warned about from 90 % on; 0 asks the control group",
        "MiB",
    )
    quantisation: str = config_key(
        "auto",
        choice("auto", "fp32", "int8"),
        "Numbers of the vision encoder on the CPU: int8 multiplies in 8 bits, in a copy that is made at the"
        " first load and proven against the model's own file; auto does so where it is faster",
        engine=True,
    )
    max_images: int = config_key(16, integer(1, 64), "Most images of one request")
    picture_cache_mb: int = config_key(
        64,
        integer(0, 65536),
        "Memory for what the vision encoder made of images that may come again (a quarter more for their"
        " pixels); 0 keeps none",
        "MiB",
        engine=True,
    )
    scene_threshold: float = config_key(
        0.015,
        number(0.001, 1),
        "Share of a camera's picture that must have changed for it to be described anew, where a request"
        " names a camera and no threshold",
    )
    scene_keep_s: float = config_key(
        3600.0,
        number(0, 86400),
        "How long the answer about a camera's picture is given again while the picture does not change; 0"
        " keeps none",
        "s",
    )
    max_length_limit: int = config_key(200, integer(1, 1024), "Largest max_length of a request", "tokens")
    default_max_length: int = config_key(
        100, integer(1, 1024), "max_length of a request that names none", "tokens"
    )

    max_length_places: int = config_key(
        1000,
        integer(1, 1024),
        "max_length of requests for boxes, outlines and placed text that name none, and the largest of these",
        "tokens",
    )

    def announced_model(self) -> str:
        """See `CommonSettings.announced_model`."""
        return "florence-2" if self.model in ("auto", "demo") else self.model

    def conflicts(self) -> Iterator[tuple[tuple[str, ...], str]]:
        yield from super().conflicts()
        if self.default_max_length > self.max_length_limit:
            yield (
                ("default_max_length", "max_length_limit"),
                f"default_max_length ({self.default_max_length}) is more than"
                f" max_length_limit ({self.max_length_limit})",
            )


KEYS = keys_of(FlorenceSettings)

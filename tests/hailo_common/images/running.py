"""A started decoder for one test, and images that keep it busy."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any

from hailo_common.images.decoder import ImageDecoder
from hailo_common.images.limits import ImageLimits
from tests.hailo_common.images.conftest import PATIENT_S, open_files
from tests.hailo_common.images.make import encode, many_scans, photo, scene
from tests.limits import image_limits

IMAGE = encode(scene(64, 48), "JPEG")
LARGE = encode(photo(2000, 1500), "JPEG")
SLOW_LIMITS = image_limits(max_scans=10**6, max_chunks=10**6)
SLOW = many_scans(4096, 4096, 60_000)
RESPAWN_S = 0.2
Body = Callable[[ImageDecoder], Awaitable[None]]


def with_decoder(
    body: Body, *, limits: ImageLimits | None = None, deadline_s: float = PATIENT_S, **options: Any
) -> None:
    """Run `body` with a started decoder and look for leaks after it."""

    async def main() -> None:
        decoder = ImageDecoder(limits or image_limits(), deadline_s=deadline_s, **options)
        await decoder.start()
        try:
            await body(decoder)
        finally:
            await decoder.close()

    # Sockets of earlier tests that wait for the garbage collector (a refused TLS connection) close now.
    gc.collect()
    before = open_files()
    asyncio.run(main())
    assert open_files() == before

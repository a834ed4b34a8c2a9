"""The decoder process: one image at a time, few rights, little memory, killed from outside when it is slow.

Started as `python -m hailo_common.images.child` by `hailo_common.images.decoder`. It imports nothing of the
HTTP side. Messages: first `{"limits"}`, answered `{"ready": true}`; then for each image `{"id", "target"}`
with a memfd of the file's bytes, answered `{"id", "taken": true}` at once and then `{"id", "ok": true, ...}`
with a sealed memfd of RGB, or `{"id", "ok": false, "code"}`.
"""

from __future__ import annotations

import os
import resource
from typing import Any

from hailo_common.errors import ServiceError
from hailo_common.images.decode import Decoded, decode
from hailo_common.images.limits import ImageLimits
from hailo_common.images.resize import ResizeSpec
from hailo_common.ipc.messages import Channel, child_channel, close_fds, memfd_with
from hailo_common.ipc.walls import for_decoder

CPU_SECONDS = 10
"""A back-stop for the parent's deadline; counted anew for each image."""
_OPEN_FILES = 32


def main() -> None:
    """Serve images until the parent is gone."""
    channel = child_channel(oom_score=1000)
    try:
        limits = ImageLimits.from_json(channel.receive()[0]["limits"])
        channel.send({"ready": True, "missing": confine(limits)})
        while True:
            serve_one(channel, limits)
    except (EOFError, OSError):
        return


def confine(limits: ImageLimits) -> list[str]:
    """Give up what a decoder does not need: memory, files, processes, core dumps, the environment.

    Returns what this machine has no wall for.
    """
    os.environ.clear()
    for what, value in (
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        _limit(what, value, hard=True)
    return for_decoder()


def serve_one(channel: Channel, limits: ImageLimits) -> None:
    """Read one request and answer it; raises EOFError or OSError when the parent is gone."""
    message, fds = channel.receive()
    channel.send({"id": message["id"], "taken": True})
    try:
        data = _read(fds[0], limits)
    finally:
        close_fds(fds)
    used = resource.getrusage(resource.RUSAGE_SELF)
    _limit(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + CPU_SECONDS, hard=False)
    answer, chunks = _answer(data, ResizeSpec.from_json(message["target"]), limits)
    answer["id"] = message["id"]
    image = [memfd_with("rgb", chunks)] if chunks else []
    try:
        channel.send(answer, image)
    finally:
        close_fds(image)


def _answer(data: bytes, target: ResizeSpec, limits: ImageLimits) -> tuple[dict[str, Any], list[bytes]]:
    try:
        image = decode(data, target, limits)
    except ServiceError as error:
        return {"ok": False, "code": error.cause}, []
    return {"ok": True, **_facts(image)}, [image.rgb]


def _facts(image: Decoded) -> dict[str, Any]:
    return {
        "width": image.width,
        "height": image.height,
        "original_width": image.original_width,
        "original_height": image.original_height,
        "format": image.format.value,
    }


def _read(fd: int, limits: ImageLimits) -> bytes:
    """One byte more than allowed at most: enough for the check in `decode` to see it."""
    with open(fd, "rb", closefd=False) as file:
        file.seek(0)
        return file.read(limits.max_bytes + 1)


def _limit(what: int, value: int, *, hard: bool) -> None:
    ceiling = resource.getrlimit(what)[1]
    value = value if ceiling == resource.RLIM_INFINITY else min(value, ceiling)
    resource.setrlimit(what, (value, value if hard else ceiling))


if __name__ == "__main__":
    main()

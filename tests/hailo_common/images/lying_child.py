"""A decoder that some image has taken over: it answers what the image says."""

from __future__ import annotations

import os
from typing import Any

from hailo_common.ipc.messages import child_channel, memfd_with

HONEST = {"ok": True, "width": 8, "height": 8, "original_width": 9, "original_height": 9, "format": "JPEG"}
LIES: dict[str, dict[str, Any]] = {
    "size": {"width": 4096},
    "original": {"original_width": "9" * 40},
    "format": {"format": "XBM"},
}


def main() -> None:
    """Answer like the real child, or lie."""
    channel = child_channel()
    channel.receive()
    channel.send({"ready": True})
    while True:
        message, fds = channel.receive()
        channel.send({"id": message["id"], "taken": True})
        lie = os.pread(fds[0], 20, 0).decode()
        if lie == "garbage":
            channel._sock.send(b"[]")
        fd = memfd_with("rgb", [bytes(191 if lie == "bytes" else 192)])
        if lie == "seals":
            fd = os.memfd_create("rgb")
            os.ftruncate(fd, 192)
        channel.send({"id": message["id"], **HONEST, **LIES.get(lie, {})}, [] if lie == "no file" else [fd])


if __name__ == "__main__":
    main()

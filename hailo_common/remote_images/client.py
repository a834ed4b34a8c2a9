"""What a service knows of images by address: whether they are on, and how to ask for one."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path

from hailo_common.errors import BadRequest, Busy, TooLarge, Unavailable
from hailo_common.images.decoder import EncodedImage
from hailo_common.ipc.messages import Message, close_fds, receive_message, send_message
from hailo_common.npu.device_nodes import sysroot
from hailo_common.owner import owner

_SOCKET = "run/hailo-images/socket"
_SCHEMES = ("https://", "http://")
_DEADLINE_S = 75.0
"""Longer than the longest `timeout_s` of hailo-images."""
_AT_ONCE = 2
"""Images that one service has fetched at a time."""
_WAITING = 8
"""Requests that may have an image fetched, or wait for that; one more is refused."""
_MOST_BYTES = 64 * 1024


def is_remote(source: object) -> bool:
    """Whether an image is an address that may be asked for: hailo-images is on, and it is an http one."""
    if not isinstance(source, str) or not source[:8].lower().startswith(_SCHEMES):
        return False
    return _socket_path().exists()


def _socket_path() -> Path:
    return sysroot() / _SOCKET


class RemoteImages:
    """Fetches images by address through hailo-images."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0

    async def fetch(self, url: str) -> EncodedImage:
        """An image's file, which the caller closes. Raises BadRequest, TooLarge, Busy or Unavailable."""
        if self._waiting >= _WAITING:
            raise Busy("Too many images are being fetched; try again later.", code="busy", retry_after=5)
        self._waiting += 1
        try:
            return await self._fetched(url)
        finally:
            self._waiting -= 1

    async def _fetched(self, url: str) -> EncodedImage:
        message = {"url": url, "owner": owner.get(), "limit": self._limit}
        async with self._places:
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
                asking = asyncio.create_task(asyncio.to_thread(_asked, sock, message))
                try:
                    return await asyncio.shield(asking)
                except asyncio.CancelledError:
                    await _given_up(sock, asking)
                    raise


async def _given_up(sock: socket.socket, asking: asyncio.Task[EncodedImage]) -> None:
    """End the thread's wait, and close what it may have got."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    (outcome,) = await asyncio.gather(asking, return_exceptions=True)
    if isinstance(outcome, EncodedImage):
        outcome.close()


def _asked(sock: socket.socket, message: Message) -> EncodedImage:
    sock.settimeout(_DEADLINE_S)
    try:
        sock.connect(str(_socket_path()))
        send_message(sock, message)
        received = receive_message(sock, most_bytes=_MOST_BYTES, most_fds=1)
    except (OSError, ValueError):
        received = None
    if received is None:
        raise Unavailable(
            "The program that fetches images did not answer; the journal of hailo-images says why.",
            code="image_fetch_unavailable",
            retry_after=5,
        )
    answer, fds = received
    if len(fds) == 1:
        return EncodedImage.adopt(fds[0])
    close_fds(fds)
    kind = TooLarge if answer.get("too_large") else BadRequest
    raise kind(str(answer.get("message")), code=str(answer.get("code")))

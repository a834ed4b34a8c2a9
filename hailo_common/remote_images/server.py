"""The program's work: one image for each connection to its UNIX socket, a few at a time."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
import struct
import threading
import time
from dataclasses import dataclass
from typing import Any

from hailo_common.errors import BadRequest, ServiceError, TooLarge
from hailo_common.ipc.messages import memfd_with, receive_message, send_message
from hailo_common.owner import OwnedParts, Store
from hailo_common.remote_images.address import bad_url, parse, resolve
from hailo_common.remote_images.fetch import Fetched, Resolve, fetch
from hailo_common.remote_images.settings import RemoteImageSettings

log = logging.getLogger(__name__)

AT_ONCE = 4
_MIB = 1024 * 1024
_PATIENCE_S = 5.0
"""Longest time that a client may take to say what it wants, and to take its answer."""
_REQUEST_BYTES = 8192
_CREDENTIALS = struct.Struct("3i")


@dataclass(frozen=True)
class Wanted:
    """A request: `owner` keeps what is known for one client from all others."""

    url: str
    owner: str
    limit: int

    @classmethod
    def of(cls, message: dict[str, Any]) -> Wanted:
        """A checked message; raises ValueError."""
        url, owner, limit = (message.get(name) for name in ("url", "owner", "limit"))
        if not isinstance(url, str) or not isinstance(owner, str) or len(owner) > 64:
            raise ValueError("no URL or owner")
        if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
            raise ValueError("no limit")
        return cls(url, owner, limit)


class ImageServer:
    """Fetches within its settings, whatever a client asks: a service that was taken over reaches no more."""

    def __init__(self, settings: RemoteImageSettings, resolver: Resolve = resolve) -> None:
        self._settings = settings
        self._resolver = resolver
        self._known: OwnedParts[Store[str, Fetched]] = OwnedParts(settings.cache_mb * _MIB, Store)
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(AT_ONCE)

    def serve(self, listener: socket.socket, idle_s: float) -> None:
        """Answer until nobody came for `idle_s` seconds; systemd starts it again for the next one."""
        while select.select([listener], [], [], idle_s)[0]:
            client, _ = listener.accept()
            self._places.acquire()
            threading.Thread(target=self._serve_one, args=(client,), daemon=True).start()
        # What was begun is brought to its end.
        for _ in range(AT_ONCE):
            self._places.acquire()
        for _ in range(AT_ONCE):
            self._places.release()

    def _serve_one(self, client: socket.socket) -> None:
        try:
            with client, contextlib.suppress(OSError, ValueError):
                client.settimeout(_PATIENCE_S)
                received = receive_message(client, most_bytes=_REQUEST_BYTES, most_fds=0)
                if received is not None:
                    self._answer(client, Wanted.of(received[0]))
        except Exception:
            log.exception("unexpected error")
        finally:
            self._places.release()

    def _answer(self, client: socket.socket, wanted: Wanted) -> None:
        began = time.monotonic()
        try:
            data = self.image(wanted, _user(client))
        except ServiceError as error:
            _note(wanted, began, error.code)
            too_large = isinstance(error, TooLarge)
            send_message(client, {"message": error.message, "code": error.code, "too_large": too_large})
            return
        _note(wanted, began, "")
        fd = memfd_with("image", [data])
        try:
            send_message(client, {"size": len(data)}, [fd])
        finally:
            os.close(fd)

    def image(self, wanted: Wanted, user: int) -> bytes:
        """The file behind an address; raises ServiceError."""
        settings, target = self._settings, parse(wanted.url)
        if target.scheme == "http" and not settings.allow_http:
            raise bad_url("only https addresses are fetched here (allow_http of hailo-images.yaml)")
        if not settings.allows(target.host, target.port, target.default_port):
            raise bad_url("its host is not among the hosts of hailo-images.yaml")
        owner = f"{user} {wanted.owner}"
        with self._lock:
            known = self._known.of(owner).get(wanted.url)
        limit = min(wanted.limit, settings.max_image_bytes)
        found = fetch(target, limit=limit, timeout_s=settings.timeout_s, known=known, resolver=self._resolver)
        if not found.data:
            raise BadRequest("The image is empty.", code="image_empty")
        self._keep(owner, wanted.url, found)
        return found.data

    def _keep(self, owner: str, url: str, found: Fetched) -> None:
        with self._lock:
            part = self._known.of(owner)
            if found.etag:
                part.put(url, found, len(found.data))
            else:
                part.drop(url)


def _user(client: socket.socket) -> int:
    """The user at the other end."""
    data = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, user, _ = _CREDENTIALS.unpack(data)
    return int(user)


def _note(wanted: Wanted, began: float, code: str) -> None:
    """A line in the log; of the address only the host, since the rest may hold a secret."""
    with contextlib.suppress(ServiceError):
        host = parse(wanted.url).host
        fields: dict[str, str | int] = {"HOST": host, "DURATION_MS": round((time.monotonic() - began) * 1000)}
        log.info(
            "refused" if code else "fetched", extra={"fields": fields | ({"CODE": code} if code else {})}
        )

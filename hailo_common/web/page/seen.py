"""What the model saw: the images of the last request of a browser's session, as they went into the model.

Kept for requests that ask for it with a header, for a short time, in the memfds in which they lie anyway.
"""

from __future__ import annotations

import asyncio
import os
import re
import struct
import time
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from fastapi import FastAPI, Request
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Scope

from hailo_common.errors import NotFound
from hailo_common.images.decoder import DecodedImage, witness
from hailo_common.owner import owner
from hailo_common.resources import Closeable

SESSION = "x-hailo-session"
"""A name that a browser draws for itself, too long to be guessed; with it a request is kept to be seen."""
_SESSION = re.compile(r"[0-9a-f]{32}")
MOST_SESSIONS = 4
MOST_BYTES = 32 << 20
KEEP_S = 300.0


@dataclass
class _Frame(Closeable):
    """An image in the model's size: RGB behind a descriptor of its own."""

    fd: int
    width: int
    height: int

    @property
    def bytes(self) -> int:
        return self.width * self.height * 3

    def close(self) -> None:
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)


@dataclass
class _Session(Closeable):
    """The images of one request."""

    began: float = field(default_factory=time.monotonic)
    frames: list[_Frame] = field(default_factory=list)

    def close(self) -> None:
        for frame in self.frames:
            frame.close()


class SeenImages:
    """The last images of a few sessions, `MOST_BYTES` in all."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[tuple[str, str], _Session] = OrderedDict()

    @property
    def held(self) -> int:
        """Bytes of pixels that are kept."""
        return sum(frame.bytes for each in self._sessions.values() for frame in each.frames)

    @contextmanager
    def watching(self, scope: Scope) -> Iterator[None]:
        """Keep the images that are decoded within, if the request names a session; `owner` is set."""
        name = Headers(scope=scope).get(SESSION, "")
        if scope["method"] != "POST" or not _SESSION.fullmatch(name):
            yield
            return
        session = self._begin((owner.get(), name))
        token = witness.set(lambda image: self._note(session, image))
        try:
            yield
        finally:
            witness.reset(token)

    def find(self, name: str, index: int) -> tuple[bytes, int, int] | None:
        """The image of that number of the session's last request as RGB, with width and height in pixels."""
        self._forget()
        session = self._sessions.get((owner.get(), name))
        if session is None or not 0 <= index < len(session.frames):
            return None
        frame = session.frames[index]
        return os.pread(frame.fd, frame.bytes, 0), frame.width, frame.height

    def close(self) -> None:
        """Forget all of them."""
        while self._sessions:
            self._drop()

    def _begin(self, key: tuple[str, str]) -> _Session:
        if (before := self._sessions.pop(key, None)) is not None:
            before.close()
        self._forget()
        while len(self._sessions) >= MOST_SESSIONS:
            self._drop()
        session = self._sessions[key] = _Session()
        return session

    def _note(self, session: _Session, image: DecodedImage) -> None:
        if session not in self._sessions.values() or image.bytes > MOST_BYTES:
            return
        while self.held + image.bytes > MOST_BYTES:
            oldest = next(iter(self._sessions.values()))
            if oldest is session:
                return
            self._drop()
        session.frames.append(_Frame(os.dup(image.fd), image.width, image.height))

    def _forget(self) -> None:
        while self._sessions:
            if time.monotonic() - next(iter(self._sessions.values())).began < KEEP_S:
                return
            self._drop()

    def _drop(self) -> None:
        _, session = self._sessions.popitem(last=False)
        session.close()


def png(rgb: bytes, width: int, height: int) -> bytes:
    """A PNG file of RGB pixels; fast rather than small."""
    row = width * 3
    lines = b"".join(b"\0" + rgb[start : start + row] for start in range(0, row * height, row))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines, 1)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


def add_seen_route(app: FastAPI, seen: SeenImages) -> None:
    """Add `/v1/seen/{index}`."""

    @app.get("/v1/seen/{index}", tags=["service"], summary="What the model saw", response_class=Response)
    async def show(request: Request, index: int) -> Response:
        """An image of the last request with the same `X-Hailo-Session`, in the model's size, as PNG."""
        found = seen.find(request.headers.get(SESSION, ""), index)
        if found is None:
            raise NotFound(
                "Nothing is kept of that session: it asked nothing for minutes, or others asked since.",
                code="not_seen",
            )
        content = await asyncio.to_thread(png, *found)
        headers = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
        return Response(content, media_type="image/png", headers=headers)

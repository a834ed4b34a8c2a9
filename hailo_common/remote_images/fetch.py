"""One image over HTTP: no redirect, a bound on its bytes, and one deadline for all of it."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from hailo_common import __version__
from hailo_common.errors import BadRequest, ServiceError, TooLarge
from hailo_common.remote_images.address import Target, bad_url, resolve
from hailo_common.resources import Closeable

_BLOCK = 1 << 16
_LENGTH = re.compile("[0-9]{1,18}")
_ETAG = re.compile(r'(?:W/)?"[!#-~]{0,200}"')
Resolve = Callable[[Target], list[str]]


@dataclass(frozen=True)
class Fetched:
    """An image's file and the ETag under which its host may be asked for it again; empty for none."""

    data: bytes
    etag: str


def fetch(
    target: Target, *, limit: int, timeout_s: float, known: Fetched | None = None, resolver: Resolve = resolve
) -> Fetched:
    """The file behind an address, or what is `known` of it if that is what the host still has.

    Raises BadRequest or TooLarge.
    """
    deadline = time.monotonic() + timeout_s
    with _Line(target, resolver(target), deadline) as line:
        try:
            found = line.exchange(known, limit)
        except (OSError, http.client.HTTPException):
            raise _failed("the connection failed or took too long") from None
        if line.expired:
            # What was cut off here may look like an end.
            raise _failed("it took too long")
        return found


def _failed(why: str) -> ServiceError:
    return BadRequest(f"The image could not be fetched: {why}.", code="image_fetch_failed")


def _headers(target: Target, known: Fetched | None) -> dict[str, str]:
    headers = {
        "Host": target.authority,
        "User-Agent": f"hailo-images/{__version__}",
        "Accept": "image/*",
        "Accept-Encoding": "identity",
        "Connection": "close",
    }
    return headers | ({"If-None-Match": known.etag} if known else {})


class _Line(Closeable):
    """A connection to one of a host's addresses, which is cut at the deadline, whatever is done with it.

    Each read has a time-out of its own, so that a host which drips would never end.
    """

    def __init__(self, target: Target, addresses: list[str], deadline: float) -> None:
        self.expired = False
        self._target = target
        self._sock = _connected(addresses, target.port, deadline)
        self._connection = http.client.HTTPConnection(target.host, target.port)
        self._watch = threading.Timer(max(0.0, deadline - time.monotonic()), self._cut)
        self._watch.daemon = True
        self._watch.start()

    def exchange(self, known: Fetched | None, limit: int) -> Fetched:
        """The file, or what is known of it. Raises BadRequest, TooLarge, OSError or HTTPException."""
        if self._target.scheme == "https":
            self._secure()
        self._connection.sock = self._sock
        self._connection.request("GET", self._target.path, headers=_headers(self._target, known))
        with contextlib.closing(self._connection.getresponse()) as response:
            if response.status == 304 and known:
                if len(known.data) > limit:
                    raise _too_large(limit)
                return known
            _check(response, limit)
            return Fetched(_body(response, limit), _etag(response))

    def _secure(self) -> None:
        context = ssl.create_default_context()
        try:
            # In two steps, so that the handshake can be cut, too.
            self._sock = context.wrap_socket(
                self._sock, server_hostname=self._target.host, do_handshake_on_connect=False
            )
            self._sock.do_handshake()
        except ssl.SSLCertVerificationError:
            raise _failed("its host's certificate cannot be trusted") from None
        except (OSError, ValueError):
            raise _failed("its host does not speak TLS, or took too long") from None

    def _cut(self) -> None:
        self.expired = True
        with contextlib.suppress(OSError):
            # The socket's own shutdown: TLS would wait for the other side.
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """See `Closeable`."""
        self._watch.cancel()
        self._connection.close()
        self._sock.close()


def _connected(addresses: list[str], port: int, deadline: float) -> socket.socket:
    for address in addresses:
        left = deadline - time.monotonic()
        if left <= 0:
            break
        with contextlib.suppress(OSError):
            return socket.create_connection((address, port), timeout=left)
    raise _failed("its host does not answer")


def _check(response: http.client.HTTPResponse, limit: int) -> None:
    """Raise for an answer that is no image's file."""
    if 300 <= response.status < 400:
        raise bad_url("it leads to another one, and redirects are not followed")
    if response.status != 200:
        raise _failed(f"its host answered with status {response.status}")
    if response.getheader("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise _failed("its host sent it compressed")
    length = response.getheader("content-length", "")
    if _LENGTH.fullmatch(length) and int(length) > limit:
        raise _too_large(limit)


def _body(response: http.client.HTTPResponse, limit: int) -> bytes:
    data = bytearray()
    while block := response.read(min(_BLOCK, limit + 1 - len(data))):
        data += block
        if len(data) > limit:
            raise _too_large(limit)
    if response.length:
        raise _failed("its host broke off")
    return bytes(data)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(
        f"The image has more than the {limit:,} bytes that may be fetched.", code="image_too_large"
    )


def _etag(response: http.client.HTTPResponse) -> str:
    etag = response.getheader("etag", "")
    stored = "no-store" not in response.getheader("cache-control", "").lower()
    return etag if stored and _ETAG.fullmatch(etag) else ""

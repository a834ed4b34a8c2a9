"""HTTP for files: ranges, proxies, bounded redirects, a deadline on progress. Only here is urllib3 used.

What may heal and what may not is decided here, once, from status, headers and library errors.
"""

from __future__ import annotations

import encodings.idna
import ipaddress
import os
import re
import shutil
import ssl
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3.exceptions import (
    HTTPError,
    LocationValueError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ProxyError,
    SSLError,
    TimeoutError,
)

from hailo_common import __version__

# urllib3 encodes every host name with it; looked for late, on a disk that fails, it would be a LookupError.
assert encodings.idna

MAX_REDIRECTS = 5
_CONNECT_S = 15.0
_APT_S = 10
_BLOCK = 1 << 18
_MIN_PROGRESS = 16 * 1024
"""Fewer bytes than these in the time of the stall deadline count as no progress."""
_RANGE = re.compile(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)")
_APT_PROXY = re.compile(r"(HTTPS?)='(http://[!-~]+)'")
_REDIRECTS = (301, 302, 303, 307, 308)
_EXPIRED = (400, 401, 403, 410)
"""What a signed address answers when its time is over; the first address gives a new one."""
_NO_RESUME = (400, 403, 412, 416, 501)
"""What servers that give the whole file answer when they are asked for the rest of it."""

Retry = Literal["now", "later", "never"]


class TransferError(Exception):
    """Why a place did not give the file. `retry`: worth another try at this place now, later, or never."""

    def __init__(self, message: str, retry: Retry, *, no_resume: bool = False) -> None:
        super().__init__(message)
        self.retry = retry
        self.no_resume = no_resume
        """The rest of the file was asked for; the whole file may be had."""


@dataclass(frozen=True)
class FileInfo:
    """What the server said of the file before its bytes."""

    start: int
    """The first byte that follows: 0 if the server sends the whole file."""
    size: int | None
    """Bytes of the whole file."""
    validator: str
    """Changes when the content changes; empty if the server names none."""
    sha256: str | None
    """The publisher's own checksum, where a server sends one along (Hugging Face does)."""
    ends: bool = True
    """The transfer says where it ends, so that one that broke off is no whole file."""


class Body:
    """An open response; read it with `read` until it gives no more."""

    def __init__(self, response: urllib3.BaseHTTPResponse, info: FileInfo, stall_s: float) -> None:
        self.info = info
        self._response = response
        self._stall_s = stall_s
        self._window = (time.monotonic(), 0)
        self._bytes = 0

    def read(self) -> bytes:
        """The next bytes; TransferError when the connection breaks, or gives almost nothing for too long."""
        try:
            block = self._response.read1(_BLOCK)
        except (HTTPError, OSError) as error:
            raise _transfer_error(error) from None
        self._bytes += len(block)
        began, before = self._window
        if time.monotonic() - began > self._stall_s:
            if block and self._bytes - before < _MIN_PROGRESS:
                raise TransferError(f"almost no progress for {self._stall_s:g} s", "now")
            self._window = (time.monotonic(), self._bytes)
        return block

    def close(self) -> None:
        """Hang up; the connection is not used again."""
        self._response.close()


class Web:
    """Opens URLs."""

    def __init__(self, proxy: str, stall_s: float, environ: Mapping[str, str] = os.environ) -> None:
        self._proxy = proxy
        self._environ = environ
        self._stall_s = stall_s
        self._pools: dict[str, urllib3.PoolManager] = {}

    def open(self, url: str, start: int = 0, trusted: Callable[[str], bool] | None = None) -> Body:
        """The file behind a URL from byte `start` on, or from its beginning where the server ignores that.

        With `trusted` no host is asked for which it is not true.
        """
        seen: list[str] = []
        sha256 = None
        while True:
            host = urlsplit(url).hostname or ""
            if trusted and not trusted(host):
                raise TransferError(f"leads to {host}, which the manifest does not name", "never")
            response = self._request(url, start)
            sha256 = sha256 or _stated_sha256(response)
            if response.status not in _REDIRECTS:
                break
            response.close()
            seen.append(url)
            url = _redirect_target(url, response.headers.get("Location", ""), seen)
        try:
            info = _file_info(response, start, sha256, redirected=bool(seen))
            return Body(response, info, self._stall_s)
        except BaseException:
            response.close()
            raise

    def _request(self, url: str, start: int) -> urllib3.BaseHTTPResponse:
        headers = {"User-Agent": f"hailo-fetch/{__version__}", "Accept-Encoding": "identity", "Accept": "*/*"}
        if start:
            headers["Range"] = f"bytes={start}-"
        proxy = proxy_for(url, self._proxy, self._environ)
        try:
            return self._pool(proxy).request(
                "GET",
                url,
                headers=headers,
                redirect=False,
                retries=False,
                preload_content=False,
                timeout=urllib3.Timeout(connect=min(_CONNECT_S, self._stall_s), read=self._stall_s),
            )
        except (HTTPError, OSError, UnicodeError) as error:
            raise _transfer_error(error, proxy) from None

    def _pool(self, proxy: str) -> urllib3.PoolManager:
        if proxy not in self._pools:
            self._pools[proxy] = _proxy_pool(proxy) if proxy else urllib3.PoolManager(maxsize=1)
        return self._pools[proxy]


def proxy_for(url: str, setting: str, environ: Mapping[str, str]) -> str:
    """The proxy's URL, empty for none; `setting` is the key `proxy` of hailo-fetch."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if setting == "none" or is_local(host):
        return ""
    if setting != "auto":
        return setting
    if _exempt(host, _variable(environ, "no_proxy")):
        return ""
    from_environment = _variable(environ, f"{parts.scheme}_proxy") or _variable(environ, "all_proxy")
    return _http_proxy(from_environment) or _http_proxy(apt_proxies().get(parts.scheme, ""))


@cache
def apt_proxies() -> dict[str, str]:
    """apt's proxies by scheme, as `apt-config` states them; empty where there is no apt."""
    program = shutil.which("apt-config")
    if program is None:
        return {}
    names = ["HTTP", "Acquire::http::Proxy", "HTTPS", "Acquire::https::Proxy"]
    try:
        output = subprocess.run(
            [program, "shell", *names], capture_output=True, text=True, timeout=_APT_S, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return {}
    found = {match[1].lower(): match[2] for match in _APT_PROXY.finditer(output)}
    # apt itself takes the one for http where https has none.
    return {"https": found["http"], **found} if "http" in found else found


def _proxy_pool(proxy: str) -> urllib3.PoolManager:
    parts = urlsplit(proxy)
    login = f"{parts.username}:{parts.password or ''}" if parts.username else None
    headers = urllib3.make_headers(proxy_basic_auth=login) if login else None
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    port = f":{parts.port}" if parts.port else ""
    return urllib3.ProxyManager(f"http://{host}{port}", proxy_headers=headers, maxsize=1)


def _redirect_target(url: str, location: str, seen: list[str]) -> str:
    try:
        target = urljoin(url, location)
        parts = urlsplit(target)
        usable = location and parts.scheme in ("http", "https") and parts.hostname and not parts.username
    except ValueError:
        usable = None
    if not usable:
        raise TransferError("redirected to something that is not a URL", "never")
    if url.startswith("https:") and parts.scheme == "http":
        raise TransferError("redirected from https to http, which is not followed", "never")
    if target in seen:
        raise TransferError("redirected in a circle", "never")
    if len(seen) > MAX_REDIRECTS:
        raise TransferError(f"redirected more than {MAX_REDIRECTS} times", "never")
    return target


def _file_info(
    response: urllib3.BaseHTTPResponse, start: int, sha256: str | None, *, redirected: bool
) -> FileInfo:
    status, headers = response.status, response.headers
    if status not in (200, 206):
        retry = "now" if redirected and status in _EXPIRED else _retry(status)
        raise TransferError(_status_text(status), retry, no_resume=start > 0 and status in _NO_RESUME)
    if headers.get("Content-Encoding", "identity").lower() not in ("identity", ""):
        raise TransferError("compresses what it sends, though asked not to", "never")
    if headers.get("Content-Type", "").lower().startswith("text/html"):
        raise TransferError("answers with a web page; is a login page or a proxy in between?", "later")
    length = headers.get("Content-Length", "")
    size = int(length) if length.isdigit() and len(length) < 19 else None
    validator = headers.get("ETag", "") or headers.get("Last-Modified", "")
    chunked = "chunked" in headers.get("Transfer-Encoding", "").lower()
    if status == 200:
        return FileInfo(0, size, validator, sha256, ends=size is not None or chunked)
    match = _RANGE.fullmatch(headers.get("Content-Range", ""))
    if not match or int(match[1]) != start:
        raise TransferError("sends another part of the file than was asked for", "never", no_resume=True)
    whole = int(match[2]) if match[2] != "*" else None
    return FileInfo(start, whole, validator, sha256, ends=whole is not None)


def _stated_sha256(response: urllib3.BaseHTTPResponse) -> str | None:
    """Hugging Face names a large file's SHA-256 as linked entity tag, on the way to where it lies."""
    tag = response.headers.get("X-Linked-ETag", "").strip('"')
    return tag if re.fullmatch(r"[0-9a-f]{64}", tag) else None


def _retry(status: int) -> Retry:
    if status in (408, 429) or status >= 500:
        return "now"
    return "later" if status in (401, 403, 407, 511) else "never"


def _status_text(status: int) -> str:
    known = {
        401: "wants a login",
        403: "refuses to give the file",
        404: "does not have the file",
        407: "the proxy wants a login; set it in `proxy` of hailo-fetch.yaml",
        410: "does not have the file any more",
        416: "does not have the part of the file that was asked for",
        429: "asks to come back later",
    }
    return f"{known.get(status, 'answers with an error')} (HTTP status {status})"


def _variable(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name, "") or environ.get(name.upper(), "")


def _http_proxy(proxy: str) -> str:
    if proxy and "://" not in proxy:
        proxy = f"http://{proxy}"
    return proxy.rstrip("/") if proxy.startswith("http://") else ""


def _exempt(host: str, exceptions: str) -> bool:
    for each in exceptions.replace(" ", ",").split(","):
        name = each.strip().lstrip(".").lower()
        if name == "*" or (name and (host == name or host.endswith(f".{name}"))):
            return True
    return False


def is_local(host: str) -> bool:
    """Whether a host is this machine and nobody else reaches it."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


_KNOWN_ERRORS: tuple[tuple[tuple[type[BaseException], ...], str, Retry], ...] = (
    (
        (ProxyError,),
        "the proxy {proxy} cannot be used; `proxy` in hailo-fetch.yaml sets another, or none",
        "later",
    ),
    ((NameResolutionError,), "the name has no address; is this machine offline?", "later"),
    ((SSLError, ssl.SSLError), "its certificate cannot be trusted; is this machine's clock right?", "later"),
    ((NewConnectionError,), "cannot be reached", "now"),
    ((ProtocolError, ConnectionError), "broke off the transfer", "now"),
    ((TimeoutError, OSError), "does not answer (any more)", "now"),
    ((LocationValueError, UnicodeError), "is not a URL that can be opened", "never"),
)


def _transfer_error(error: BaseException, proxy: str = "") -> TransferError:
    """A library's error in words, and whether another try can help. A proxy is named without its login."""
    for types, text, retry in _KNOWN_ERRORS:
        if isinstance(error, types):
            scheme, _, rest = proxy.rpartition("@")[2].rpartition("://")
            return TransferError(text.replace("{proxy}", f"{scheme or 'http'}://{rest}"), retry)
    return TransferError("does not speak HTTP as expected", "later")

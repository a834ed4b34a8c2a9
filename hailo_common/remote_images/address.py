"""Which addresses may be asked: a URL taken apart, its host resolved once, and what is not public refused."""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from hailo_common.errors import BadRequest

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address

_MAX_URL = 2048
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?|[0-9a-f:.]{2,45}")
_PORTS = {"https": 443, "http": 80}
_METADATA = frozenset(map(ipaddress.ip_address, ("168.63.129.16", "100.100.100.200", "192.0.0.192")))
"""Where clouds answer their machines, besides 169.254.169.254 and fd00:ec2::254."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


@dataclass(frozen=True)
class Target:
    """One image's address; `path` is everything after the host, as it is sent."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def default_port(self) -> int:
        """The scheme's port."""
        return _PORTS[self.scheme]

    @property
    def authority(self) -> str:
        """The Host header's value."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == self.default_port else f"{host}:{self.port}"


def parse(url: str) -> Target:
    """Take a URL apart; raises BadRequest for what no image's address looks like."""
    if len(url) > _MAX_URL or not url.isascii() or not url.isprintable() or " " in url:
        raise bad_url(f"it must be up to {_MAX_URL} characters of ASCII, others percent-encoded")
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        raise bad_url("it is malformed") from None
    if parts.scheme not in _PORTS:
        raise bad_url("only https and http addresses are fetched")
    if "@" in parts.netloc or "\\" in url:
        raise bad_url("it must not hold a user's name or a backslash")
    if not _HOST.fullmatch(host):
        raise bad_url("its host is malformed")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, host, _PORTS[parts.scheme] if port is None else port, path)


def bad_url(why: str) -> BadRequest:
    """The error for an address."""
    return BadRequest(f"The image's address cannot be used: {why}.", code="unsupported_image_url")


def resolve(target: Target) -> list[str]:
    """The host's addresses, from one resolution; raises BadRequest where one of them is not public.

    One is enough: a name that leads into a private network, too, was made for that.
    """
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise BadRequest("The image's host has no address now.", code="image_fetch_failed") from None
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not all(map(is_public, addresses)):
        raise bad_url("its host is in a private network")
    return addresses


def is_public(text: str) -> bool:
    """True for an address of the Internet, in whatever way it is written into another one."""
    try:
        address = _inner(ipaddress.ip_address(text))
    except ValueError:
        return False
    return address.is_global and not address.is_multicast and address not in _METADATA


def _inner(address: Ip) -> Ip:
    """The IPv4 address that an IPv6 address stands for, else the address itself."""
    if address.version == 4:
        return address
    if address.teredo:
        return address.teredo[1]
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address

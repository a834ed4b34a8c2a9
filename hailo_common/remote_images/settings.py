"""The keys of hailo-images, which fetches images by address."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hailo_common.config.common_keys import IMAGES, BaseSettings
from hailo_common.config.schema import boolean, choice, config_key, integer, is_host, number, strings

SERVICE = IMAGES
_MIB = 1024 * 1024
_ENTRY = re.compile(r"(?:\*\.)?(?P<host>[^:]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")


def is_host_entry(text: str) -> bool:
    """True for an entry of `hosts`: a name, `*.NAME` or an address, with a port or not."""
    match = _ENTRY.fullmatch(text)
    if match is None or "%" in text:
        return False
    port = int(match["port"]) if match["port"] else 443
    return is_host(match["host"].strip("[]")) and 1 <= port <= 65535


@dataclass(frozen=True, kw_only=True)
class RemoteImageSettings(BaseSettings):
    """Settings of hailo-images."""

    hosts: tuple[str, ...] = config_key(
        (),
        strings("entries: NAME, *.NAME (all below it) or an address, each with :PORT or not", is_host_entry),
        "Hosts whose images requests may name by address; where none is listed all are refused, and private"
        " networks always are, whatever a name leads to",
    )
    allow_http: bool = config_key(
        False, boolean(), "Also http:// addresses, whose answers everybody on the way can read and change"
    )
    timeout_s: float = config_key(10.0, number(0.5, 60), "Longest time for one image, all included", "s")
    max_image_bytes: int = config_key(
        10_485_760, integer(1024, 104_857_600), "Largest image that is fetched", "bytes"
    )
    cache_mb: int = config_key(
        64,
        integer(0, 1024),
        "Memory for images whose host gave them an ETag; each is asked for again, and comes again only if it"
        " has changed. 0 keeps none",
        "MiB",
    )
    log_level: str = config_key(
        "info", choice("debug", "info", "warning", "error"), "Least severe level to log"
    )

    def allows(self, host: str, port: int, default_port: int) -> bool:
        """Whether a host in lower case is one of `hosts`, at this port."""
        return any(_is(entry, host, port, default_port) for entry in self.hosts)


def _is(entry: str, host: str, port: int, default_port: int) -> bool:
    match = _ENTRY.fullmatch(entry.lower())
    if match is None or port != int(match["port"] or default_port):
        return False
    name = match["host"].strip("[]").rstrip(".")
    return host.endswith(f".{name}") if entry.startswith("*.") else host == name

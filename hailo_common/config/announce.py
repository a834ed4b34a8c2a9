"""A service that is open to the network, told to it: a file of Avahi's, which announces it by multicast DNS.

DNS-SD has no type for APIs like these, so it is `_http._tcp`, with where and what in the TXT record.
Source: avahi.service(5), RFC 6763.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from hailo_common.config.common_keys import CommonSettings
from hailo_common.errors import unusable
from hailo_common.files import update

_MOST_TEXT = 255  # bytes of one string of a TXT record
_FILE = """\
<?xml version="1.0" standalone="no"?>
<!DOCTYPE service-group SYSTEM "avahi-service.dtd">
<!-- Written by `hailo-ctl config render` from /etc/hailo/{service}.yaml (announce). Do not edit. -->
<service-group>
  <name replace-wildcards="yes">{service} on %h</name>
  <service protocol="{protocol}">
    <type>_http._tcp</type>
    <port>{port}</port>
{records}
  </service>
</service-group>
"""


def announcement(service: str, settings: CommonSettings, addresses: Sequence[str]) -> str:
    """The file's content, empty for what only this machine reaches, or what shall not be told of."""
    found = [ipaddress.ip_address(address.partition("%")[0]) for address in addresses]
    open_to = [address for address in found if not address.is_loopback]
    if not settings.announce or not open_to:
        return ""
    # Listening on [::] the socket takes IPv4, too.
    families = {
        "any" if address.version == 6 and address.is_unspecified else f"ipv{address.version}"
        for address in open_to
    }
    return _FILE.format(
        service=service,
        protocol=families.pop() if len(families) == 1 else "any",
        port=settings.port,
        records="\n".join(
            f"    <txt-record>{escape(text)}</txt-record>" for text in _texts(service, settings)
        ),
    )


def _texts(service: str, settings: CommonSettings) -> list[str]:
    has_keys = bool(settings.api_keys or settings.api_key_file or settings.gateway_key_file)
    values: Mapping[str, str] = {
        "path": "/v1",
        "model": settings.announced_model(),
        "service": service,
        "key": "required" if has_keys else "none",
    }
    texts = [f"{name}={value}" for name, value in values.items()]
    return [text.encode()[:_MOST_TEXT].decode(errors="ignore") for text in texts]


def write_announcement(service: str, content: str, folder: Path) -> Path | None:
    """Write or remove `SERVICE.service` of a folder, which Avahi notices; returns the file if it changed.

    Without the folder there is no Avahi, and nothing is done.
    """
    path = folder / f"{service}.service"
    try:
        if not folder.is_dir():
            return None
        if content:
            changed = update(path, content.encode())
        elif changed := path.exists():
            path.unlink()
    except OSError as error:
        raise unusable(path, "written", error) from None
    return path if changed else None

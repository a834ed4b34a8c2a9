"""A configuration as the JSON that the service reads, and as systemd's drop-ins: address, limits, timer.

Starts and reloads nothing.
"""

from __future__ import annotations

import ipaddress
import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path

from hailo_common.config.common_keys import IMAGES, BaseSettings, CommonSettings
from hailo_common.config.schema import plain_json
from hailo_common.errors import ConfigError, unusable
from hailo_common.files import update


def rendered(settings: BaseSettings) -> bytes:
    """All keys with their effective values, in the table's order."""
    values = {key.name: plain_json(getattr(settings, key.name)) for key in settings.table()}
    return (json.dumps(values, indent=2, ensure_ascii=False) + "\n").encode()


def render(settings: BaseSettings, path: Path) -> bool:
    """Write the JSON atomically; False when the file has this content already.

    With a secret in it the file is nobody's but its owner's and its group's; it takes the folder's group.
    """
    data = rendered(settings)
    secret = any(key.secret and getattr(settings, key.name) != key.default for key in settings.table())
    try:
        if secret and path.is_file():
            path.chmod(path.stat().st_mode & 0o770)
        if not update(path, data, 0o640 if secret else 0o644):
            return False
        if secret and os.geteuid() == 0:
            os.chown(path, -1, path.parent.stat().st_gid)
    except OSError as error:
        raise unusable(path, "written", error) from None
    return True


DROPIN = "50-hailo.conf"
_HEAD = "# Written by `hailo-ctl config render` from /etc/hailo/{service}.yaml. Do not edit.\n"
# Threads of the HTTP process, the decoder and the engine besides those that compute; each engine computes.
_TASKS, _TASKS_PER_CORE = 64, 8


def dropins(service: str, settings: BaseSettings) -> dict[str, str]:
    """Unit name to the content of its drop-in."""
    if isinstance(settings, CommonSettings):
        sections = {
            f"{service}.socket": _socket(settings),
            f"{service}.service": _limits(settings, os.cpu_count() or 1),
        }
    elif service == IMAGES:
        return {}
    else:
        spread = getattr(settings, "spread_s", 0.0)
        sections = {f"{service}.timer": f"[Timer]\nRandomizedDelaySec={spread:g}s\n"}
    return {unit: _HEAD.format(service=service) + text for unit, text in sections.items()}


def write_dropins(contents: Mapping[str, str], folder: Path) -> list[Path]:
    """Write `UNIT.d/50-hailo.conf` below `folder` where it differs; returns the files that changed."""
    changed = []
    for unit, text in contents.items():
        path = folder / f"{unit}.d" / DROPIN
        try:
            if update(path, text.encode()):
                changed.append(path)
        except OSError as error:
            raise unusable(path, "written", error) from None
    return changed


def _socket(settings: CommonSettings) -> str:
    streams = "".join(f"ListenStream={each}\n" for each in _streams(settings))
    # The empty line takes back the unit's own address.
    return f"[Socket]\nListenStream=\n{streams}"


def _streams(settings: CommonSettings) -> list[str]:
    port = settings.port
    streams = []
    for address in addresses_of(settings):
        host, _, scope = address.partition("%")
        if ":" in host:
            streams.append(f"[{host}]:{port}" + (f"%%{scope}" if scope else ""))
        else:
            streams.append(f"{host}:{port}")
    return streams


def addresses_of(settings: CommonSettings) -> list[str]:
    """The addresses that a service listens on; raises ConfigError for a name that has none."""
    host = settings.host
    try:
        return [str(ipaddress.ip_address(host))]
    except ValueError:
        pass
    if host == "localhost":
        return ["127.0.0.1", "::1"]
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        raise ConfigError(
            f"{settings.source('host')}: host: {host!r} has no address now; write the address itself"
        ) from None
    return sorted({str(address[0]) for *_, address in found})


def _limits(settings: CommonSettings, cores: int) -> str:
    memory = f"{settings.memory_max_mb}M" if settings.memory_max_mb else "infinity"
    # A share of the whole machine; systemd's 100 % is one core.
    quota = f"{settings.cpu_quota_percent * cores}%" if settings.cpu_quota_percent else ""
    engines = max(1, len(settings.served()))
    tasks = settings.tasks_max or _TASKS + _TASKS_PER_CORE * cores * engines
    return f"[Service]\nMemoryMax={memory}\nCPUQuota={quota}\nTasksMax={tasks}\n"

"""Which proxy a URL goes through: the configured one, the environment's, or apt's."""

from __future__ import annotations

import ipaddress
import re
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from urllib.parse import urlsplit

_APT_S = 10
_LINE = re.compile(r"(HTTPS?)='(http://[!-~]+)'")


def proxy_for(url: str, setting: str, environ: Mapping[str, str]) -> str:
    """The proxy's URL, empty for none; `setting` is the key `proxy` of hailo-fetch."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if setting == "none" or _local(host):
        return ""
    if setting != "auto":
        return setting
    if _exempt(host, _variable(environ, "no_proxy")):
        return ""
    from_environment = _variable(environ, f"{parts.scheme}_proxy") or _variable(environ, "all_proxy")
    return _usable(from_environment) or _usable(apt_proxies().get(parts.scheme, ""))


@cache
def apt_proxies() -> dict[str, str]:
    """apt's proxies by scheme, as `apt-config` tells them; empty where there is no apt."""
    program = shutil.which("apt-config")
    if program is None:
        return {}
    names = ["HTTP", "Acquire::http::Proxy", "HTTPS", "Acquire::https::Proxy"]
    try:
        told = subprocess.run(
            [program, "shell", *names], capture_output=True, text=True, timeout=_APT_S, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return {}
    found = {match[1].lower(): match[2] for match in _LINE.finditer(told)}
    # apt itself takes the one for http where https has none.
    return {"https": found["http"], **found} if "http" in found else found


def _variable(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name, "") or environ.get(name.upper(), "")


def _usable(proxy: str) -> str:
    if proxy and "://" not in proxy:
        proxy = f"http://{proxy}"
    return proxy.rstrip("/") if proxy.startswith("http://") else ""


def _exempt(host: str, exceptions: str) -> bool:
    for each in exceptions.replace(" ", ",").split(","):
        name = each.strip().lstrip(".").lower()
        if name == "*" or (name and (host == name or host.endswith(f".{name}"))):
            return True
    return False


def _local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

"""The kinds of machines a fleet has, as root folders of Debian 13 (packaging/trixie.sh). Needs root."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.machine.roots import TREE, Root, overlay, sh

HUB = (
    "systemd,systemd-sysv,dbus,udev,iproute2,procps,curl,ca-certificates,openssl,openssh-client,python3,"
    "python3-yaml,ansible-core,haproxy,nginx-light,socat,apt-utils,gnupg,prometheus,lintian,yamllint,shellcheck,"
    "cloud-init"
)
"""What the machine in the middle has: Ansible, gateway, web server, and the tools that check files."""
NODE = (
    "systemd,systemd-sysv,dbus,udev,iproute2,procps,ca-certificates,openssh-server,python3,python3-fastapi,"
    "python3-uvicorn,python3-pydantic,python3-onnxruntime,python3-numpy,python3-pil,python3-yaml,python3-jinja2,"
    "python3-prometheus-client,python3-python-multipart,python3-urllib3,python3-uvloop,debconf,"
    "unattended-upgrades,needrestart"
)
"""What a node has before it is one: Debian's own packages, since machines under test have no way out."""


def base_root(name: str, packages: str) -> Path:
    """The folder of a Debian 13 with these packages, built on the first call."""
    return Path(sh(TREE / "packaging/trixie.sh", name, packages, timeout=3600).stdout.strip())


@contextmanager
def throwaway(base: Path) -> Iterator[Root]:
    """A writable view of a root with /proc and /dev, not booted."""
    with overlay(base) as view:
        sh("mount", "--bind", "/proc", view / "proc")
        sh("mount", "--bind", "/dev", view / "dev")
        yield Root(view)


def told(root: Root, command: str, *, check: bool = True) -> str:
    """Both outputs of a command in a root."""
    return root.run(f"exec 2>&1\n{command}", check=check).stdout

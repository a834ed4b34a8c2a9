"""Throw-away views of Debian 13 (packaging/trixie.sh), and commands in them. Needs root."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
HUB = (
    "systemd,systemd-sysv,dbus,udev,iproute2,procps,curl,ca-certificates,openssl,openssh-client,python3,"
    "python3-yaml,ansible-core,haproxy,nginx-light,socat,apt-utils,gnupg,prometheus,lintian,yamllint,shellcheck,"
    "po-debconf"
)
"""What the machine in the middle has: Ansible, gateway, web server, and the tools that check files."""
NODE = (
    "systemd,systemd-sysv,dbus,udev,iproute2,procps,ca-certificates,openssh-server,python3,python3-fastapi,"
    "python3-uvicorn,python3-pydantic,python3-onnxruntime,python3-numpy,python3-pil,python3-yaml,python3-jinja2,"
    "python3-prometheus-client,python3-python-multipart,python3-urllib3,python3-uvloop,debconf,"
    "unattended-upgrades,needrestart"
)
"""What a node has before it is one: Debian's own packages, since machines under test have no way out."""
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def base_root(name: str, packages: str) -> Path:
    """The folder of a Debian 13 with these packages, built on the first call."""
    done = subprocess.run(
        [PROJECT / "packaging/trixie.sh", name, packages],
        capture_output=True,
        text=True,
        timeout=3600,
        check=True,
    )
    return Path(done.stdout.strip())


@contextmanager
def overlay(base: Path, work: Path) -> Iterator[Path]:
    """A writable view of `base` below `work`; nothing of it stays."""
    for name in ("upper", "work", "root"):
        (work / name).mkdir(parents=True)
    view = work / "root"
    options = f"lowerdir={base},upperdir={work / 'upper'},workdir={work / 'work'}"
    run("mount", "-t", "overlay", "overlay", "-o", options, str(view))
    try:
        yield view
    finally:
        run("umount", "-R", "-l", str(view))
        run("rm", "-rf", str(work))


@contextmanager
def chroot(view: Path) -> Iterator[Path]:
    """The same view with the file systems that programs expect."""
    for name in ("proc", "dev"):
        run("mount", "--rbind", f"/{name}", str(view / name))
    yield view


def run(*words: str, timeout: float = 600, check: bool = True) -> subprocess.CompletedProcess[str]:
    """A command of this machine; what it said is in the error if it fails."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=timeout, check=False)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(words)}: status {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


def inside(view: Path, script: str, *, check: bool = True, env: Sequence[str] = ()) -> str:
    """Run a shell script in a view; returns both outputs together."""
    words = ["chroot", str(view), "env", "-i", f"PATH={PATH}", "LC_ALL=C.UTF-8", "HOME=/root", *env]
    done = subprocess.run(
        [*words, "sh", "-c", f"exec 2>&1\n{script}"], capture_output=True, text=True, timeout=600, check=False
    )
    if check and done.returncode:
        raise AssertionError(f"status {done.returncode} of:\n{script}\n{done.stdout}")
    return done.stdout

"""File systems of Debian 13 for tests: made once, kept in .cache, and used through throw-away overlays."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

TREE = Path(__file__).parents[2]
CACHE = TREE / ".cache"
REPOSITORY = Path("/srv/repository")
"""Where a machine finds the local apt repository."""
_BARE = (
    "systemd,systemd-sysv,dbus,udev,apt,apt-utils,ca-certificates,curl,iproute2,procps,debconf-utils,python3"
)
ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
}


def sh(
    *command: str | os.PathLike[str], check: bool = True, timeout: float = 600
) -> subprocess.CompletedProcess[str]:
    """Run a command on this machine; its output comes with the error when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    if check and done.returncode:
        raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done


def bare_root() -> Path:
    """A Debian 13 that has systemd, apt, curl and Python, and nothing of ours."""
    return Path(sh(TREE / "packaging/trixie.sh", "machine", _BARE, timeout=3600).stdout.strip())


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """Whoever makes something in .cache/machine is alone; it waits for others."""
    folder = CACHE / "machine"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def overlay(*lower: Path, keep: Path | None = None) -> Iterator[Path]:
    """A writable view of these folders, the first one on top; what is written goes to `keep` or is lost."""
    scratch = Path(tempfile.mkdtemp(prefix="trixie.", dir="/var/tmp"))
    upper, view = keep or scratch / "upper", scratch / "root"
    for folder in (upper, scratch / "work", view):
        folder.mkdir(parents=True, exist_ok=True)
    work = keep.with_name(f"{keep.name}.work") if keep else scratch / "work"
    work.mkdir(exist_ok=True)
    layers = ":".join(map(str, lower))
    sh("mount", "-t", "overlay", "overlay", "-o", f"lowerdir={layers},upperdir={upper},workdir={work}", view)
    try:
        yield view
    finally:
        sh("umount", "-R", view)
        shutil.rmtree(scratch)


class Root:
    """A root folder, entered by chroot: no systemd runs in it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def run(
        self, command: str, *, check: bool = True, env: dict[str, str] | None = None, timeout: float = 600
    ) -> subprocess.CompletedProcess[str]:
        """Run a line of shell in it."""
        done = subprocess.run(
            [*self.entry(), "/bin/sh", "-c", command],
            env={**ENVIRONMENT, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"{command!r} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done

    def entry(self) -> list[str]:
        """The command that enters it."""
        return ["chroot", str(self.path)]

    def file(self, path: str) -> Path:
        """A file in it, as this machine sees it."""
        return self.path / path.lstrip("/")


@contextlib.contextmanager
def mounted(view: Path, repository: Path) -> Iterator[Root]:
    """A root with /proc, /dev and the repository in it."""
    target = view / str(REPOSITORY).lstrip("/")
    target.mkdir(parents=True, exist_ok=True)
    sh("mount", "--bind", repository, target)
    sh("mount", "--bind", "/proc", view / "proc")
    sh("mount", "--bind", "/dev", view / "dev")
    use_repository(view)
    yield Root(view)


def snapshot(name: str, key: str, lower: list[Path], repository: Path, command: str) -> list[Path]:
    """`lower` with a layer on top in which `command` has run; made again when `key` has changed."""
    layer = CACHE / "machine" / name
    stamp = layer.with_suffix(".done")
    with locked():
        if not stamp.is_file() or stamp.read_text(encoding="utf-8") != key:
            stamp.unlink(missing_ok=True)
            shutil.rmtree(layer, ignore_errors=True)
            with overlay(*lower, keep=layer) as view, mounted(view, repository) as root:
                root.run(command, timeout=1800)
            stamp.write_text(key, encoding="utf-8")
    return [layer, *lower]


def use_repository(view: Path, name: str = "now") -> None:
    """Let apt know only a local repository: nothing of a test comes from the Internet."""
    view.joinpath("etc/apt/sources.list").unlink(missing_ok=True)
    source = view / "etc/apt/sources.list.d/local.list"
    source.write_text(f"deb [trusted=yes] file:{REPOSITORY}/{name} ./\n", encoding="utf-8")
    # A test's disk need not survive a power cut.
    view.joinpath("etc/dpkg/dpkg.cfg.d/unsafe-io").write_text("force-unsafe-io\n", encoding="ascii")

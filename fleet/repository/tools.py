"""Running Debian's programs that do the work (dpkg-deb, apt-ftparchive, gpg), and writing files safely."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

_PACKAGES = {
    "apt-ftparchive": "apt-utils",
    "dpkg-deb": "dpkg",
    "dpkg": "dpkg",
    "gpg": "gpg",
    "gpgconf": "gpg",
}
_TIMEOUT_S = 600


class RepositoryError(Exception):
    """What the operator must know; the message says what to do."""


def require_programs() -> None:
    """RepositoryError that names everything that is not installed, before anything has begun."""
    missing = sorted({package for program, package in _PACKAGES.items() if shutil.which(program) is None})
    if missing:
        raise RepositoryError(f"not installed: {', '.join(missing)}; sudo apt install {' '.join(missing)}")


def run(
    *words: str, stdin: bytes = b"", env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> bytes:
    """The standard output of a program; RepositoryError with its last words if it fails."""
    program = words[0]
    if shutil.which(program) is None:
        package = _PACKAGES.get(program, program)
        raise RepositoryError(f"{program} is not installed: sudo apt install {package}")
    environment = {**os.environ, "LC_ALL": "C.UTF-8", **(env or {})}
    done = subprocess.run(
        words, input=stdin, capture_output=True, timeout=_TIMEOUT_S, check=False, cwd=cwd, env=environment
    )
    if done.returncode:
        errors = done.stderr.decode(errors="replace").strip()
        raise RepositoryError(f"{program} failed with status {done.returncode}: {errors}")
    return done.stdout


def newer(one: str, other: str) -> bool:
    """True if the version `one` is higher than `other`, as dpkg orders them."""
    done = subprocess.run(["dpkg", "--compare-versions", one, "gt", other], timeout=30, check=False)
    return done.returncode == 0


def write(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Replace a file by `data`, whole or not at all, also after a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fd, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        Path(name).rename(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    _sync(path.parent)


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)

"""Picture files for a service of this machine, and what becomes of its answers about them."""

from __future__ import annotations

import base64
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from hailo_common.cli.client import Reply
from hailo_common.cli.framework import CommandError
from hailo_common.config.common_keys import CommonSettings, installed_services, service_settings
from hailo_common.config.load import load
from hailo_common.config.paths import Paths

STDIN = "-"
_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif")
)


def settings_for(services: Sequence[str], root: Path) -> tuple[str, CommonSettings]:
    """The first of these services that is installed, and its settings; raises CommandError for none."""
    name = next((name for name in services if name in installed_services()), None)
    if name is None:
        raise CommandError(
            f"{services[0]} is not installed here; try: sudo apt install {services[0]}", os.EX_CONFIG
        )
    return name, load(service_settings(name), name, Paths(root=root))


def picture_files(words: Sequence[str]) -> list[str]:
    """The files that these names mean: of a folder all pictures in it and below, by their names.

    Raises CommandError for what is not there.
    """
    return [name for word in words for name in _meant(word)]


def _meant(word: str) -> Iterator[str]:
    if word != STDIN and Path(word).is_dir():
        yield from _below(word)
    else:
        yield word


def _below(folder: str) -> Iterator[str]:
    for path, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and Path(name).suffix.lower() in _SUFFIXES:
                yield str(Path(path) / name)


def data_url(name: str, settings: CommonSettings) -> str:
    """A picture as the services take it: its bytes say what it is. Raises CommandError."""
    data = _contents(name, settings.max_image_bytes)
    return f"data:;base64,{base64.b64encode(data).decode('ascii')}"


def _contents(name: str, limit: int) -> bytes:
    try:
        if name == STDIN:
            data = sys.stdin.buffer.read(limit + 1)
        else:
            # Without O_NONBLOCK a pipe that nobody writes to would be waited for.
            with os.fdopen(os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise CommandError(f"{name}: not a file", os.EX_IOERR)
                data = file.read(limit + 1)
    except OSError as error:
        raise CommandError(f"{name}: {error.strerror}", _status_of(error)) from None
    if len(data) > limit:
        raise CommandError(f"{name}: more than {limit:,} bytes (max_image_bytes)", 1)
    return data


def _status_of(error: OSError) -> int:
    return os.EX_NOPERM if isinstance(error, PermissionError) else os.EX_IOERR


def refusal(reply: Reply) -> CommandError:
    """The error of a reply: 77 where a key is missing, 75 for what may be answered later, else 1."""
    if reply.status == 401:
        return CommandError("a key is required that this user cannot read; try with sudo", os.EX_NOPERM)
    status = os.EX_TEMPFAIL if reply.status in (429, 503) else 1
    return CommandError(reply.message or f"status {reply.status}", status)

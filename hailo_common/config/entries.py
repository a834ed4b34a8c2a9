"""Files as flat lists of entries: name, raw value, line. Knows no table of keys."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from hailo_common.config.rules import Raw
from hailo_common.errors import ConfigError, unusable

MAX_FILE_BYTES = 64 * 1024


@dataclass(frozen=True)
class Entry:
    """`name: value` found on a line; `fault` says why the value cannot be one (a mapping, an alias)."""

    name: str
    value: Raw
    line: int
    fault: str = ""


@dataclass(frozen=True)
class Fault:
    """A value that no key may have."""

    text: str


def entry(name: str, value: Raw | Fault, line: int) -> Entry:
    """An Entry from what a reader made of a value."""
    return Entry(name, "", line, value.text) if isinstance(value, Fault) else Entry(name, value, line)


def read_text(path: Path) -> str:
    """The file's text; ConfigError for what is no small UTF-8 file."""
    data = _read_bytes(path)
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError(f"{path}: larger than {MAX_FILE_BYTES // 1024} KiB")
    nul = data.find(b"\0")
    if nul >= 0:
        raise ConfigError(f"{path}:{_line(data, nul)}: a NUL byte, this is not a text file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = _line(data, error.start)
        raise ConfigError(f"{path}:{line}: byte 0x{data[error.start]:02x} is not UTF-8") from None


def _read_bytes(path: Path) -> bytes:
    try:
        # Non-blocking: a FIFO under this name must not hang the start.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise unusable(path, "read", error) from None
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise ConfigError(f"{path}: not a regular file")
        with os.fdopen(fd, "rb", closefd=False) as file:
            return file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise unusable(path, "read", error) from None
    finally:
        os.close(fd)


def _line(data: bytes, position: int) -> int:
    return data.count(b"\n", 0, position) + 1

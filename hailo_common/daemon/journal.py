"""journald's native protocol: one datagram per entry, or a sealed memfd when it is too big for one.

https://systemd.io/JOURNAL_NATIVE_PROTOCOL/
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
from array import array
from collections.abc import Iterable, Mapping
from pathlib import Path

SOCKET = Path("/run/systemd/journal/socket")
_TOO_BIG = (errno.EMSGSIZE, errno.ENOBUFS)
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL


class JournalMissing(Exception):
    """No journald listens at the socket."""


def encode(fields: Iterable[tuple[str, str]]) -> bytes:
    """The entry's bytes; values with a newline take the length-prefixed form."""
    return b"".join(_encode_field(name.encode(), value.encode(errors="replace")) for name, value in fields)


def is_journal_stream(fd: int, environ: Mapping[str, str]) -> bool:
    """True when systemd connected `fd` to the journal, and nobody has redirected it since."""
    try:
        status = os.fstat(fd)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


class JournalSocket:
    """Sends entries; never waits."""

    def __init__(self, path: Path = SOCKET) -> None:
        self._path = os.fspath(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    def send(self, entry: bytes) -> bool:
        """True when journald has the entry, False when its queue is full; JournalMissing without journald."""
        try:
            self._socket.sendto(entry, self._path)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno in _TOO_BIG:
                return self._send_memfd(entry)
            raise JournalMissing from error
        return True

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _send_memfd(self, entry: bytes) -> bool:
        fd = os.memfd_create("journal-entry", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            with os.fdopen(fd, "wb", closefd=False) as file:
                file.write(entry)
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [fd]))]
            self._socket.sendmsg([], rights, 0, self._path)
        except BlockingIOError:
            return False
        except OSError as error:
            raise JournalMissing from error
        finally:
            os.close(fd)
        return True


def _encode_field(name: bytes, value: bytes) -> bytes:
    if b"\n" in value:
        return name + b"\n" + struct.pack("<Q", len(value)) + value + b"\n"
    return name + b"=" + value + b"\n"

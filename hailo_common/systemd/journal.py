"""Log output that never waits for its reader: entries for journald, lines for standard error.

An entry of journald's native protocol is one datagram, or a sealed memfd when it is too big for one:
https://systemd.io/JOURNAL_NATIVE_PROTOCOL/
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import socket
import stat
import struct
from array import array
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path

SOCKET = Path("/run/systemd/journal/socket")
_TOO_BIG = (errno.EMSGSIZE, errno.ENOBUFS)
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL


class JournalMissing(Exception):
    """No journald listens at the socket."""


def encode(fields: Iterable[tuple[str, str]]) -> bytes:
    """The entry's bytes; values with a newline take the length-prefixed form."""
    return b"".join(_encode_field(name.encode(), value.encode(errors="replace")) for name, value in fields)


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


_Send = Callable[[bytes], int]


class LineWriter:
    """Whole lines to a descriptor: a full pipe refuses them, a closed one swallows them.

    `fd` itself and its flags, which other processes may share, are left alone.
    """

    def __init__(self, fd: int) -> None:
        self._own = ExitStack()
        self._send = _non_blocking(fd, self._own)
        self._rest = b""

    def write(self, line: bytes) -> bool:
        """True when the line is on its way; False when the reader is behind and it was dropped."""
        self._rest = self._push(self._rest)
        if self._rest:
            return False
        rest = self._push(line)
        if len(rest) == len(line):
            return False
        self._rest = rest
        return True

    def close(self) -> None:
        """Close what was opened besides `fd`."""
        self._own.close()

    def _push(self, data: bytes) -> bytes:
        try:
            while data:
                data = data[self._send(data) :]
        except BlockingIOError:
            return data
        except OSError:
            # Nobody reads any more (EPIPE), or the disk is full: the service goes on without this line.
            return b""
        return data


def _non_blocking(fd: int, own: ExitStack) -> _Send:
    try:
        mode = os.fstat(fd).st_mode
    except OSError:
        return len
    if stat.S_ISSOCK(mode):
        stream = own.enter_context(socket.socket(fileno=os.dup(fd)))
        return lambda data: stream.send(data, socket.MSG_DONTWAIT)
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        return _reopened(fd, own)
    return lambda data: os.write(fd, data)


def _reopened(fd: int, own: ExitStack) -> _Send:
    flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        again = os.open(f"/proc/self/fd/{fd}", flags)
    except OSError:
        return lambda data: _write_if_ready(fd, data)
    own.callback(os.close, again)
    return lambda data: os.write(again, data)


def _write_if_ready(fd: int, data: bytes) -> int:
    """For a pipe of another user, which cannot be reopened: writable means room for PIPE_BUF bytes."""
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    if not poll.poll(0):
        raise BlockingIOError
    return os.write(fd, data[: select.PIPE_BUF])

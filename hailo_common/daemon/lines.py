"""Writing lines to standard error without ever waiting for whoever reads it."""

from __future__ import annotations

import os
import select
import socket
import stat
from collections.abc import Callable
from contextlib import ExitStack

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

"""Messages between the processes of one service: JSON objects with file descriptors.

A message is one packet of a SOCK_SEQPACKET pair. JSON and not pickle, because one of the processes reads
images from strangers. Bulk data crosses as sealed memfds, so that no process copies what it only forwards.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import fcntl
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from hailo_common.ipc.walls import begin_child

Message = dict[str, Any]

PACKET_BYTES = 64 * 1024
MESSAGE_BYTES = 16 * 1024 * 1024
MAX_FDS = 64
"""What a child takes of its parent."""
CHILD_BYTES = 1024 * 1024
"""What a parent takes of its child: an answer's text, and what an engine says of itself, are far shorter."""
_BY_MEMFD = b"\0"
_PR_SET_PDEATHSIG = 1
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL


def memfd_with(name: str, chunks: Iterable[bytes | bytearray | memoryview]) -> int:
    """A new sealed memfd holding `chunks`; the caller closes it."""
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        for chunk in chunks:
            view = memoryview(chunk).cast("B")
            while view:
                view = view[os.write(fd, view) :]
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(fd)
        raise
    return fd


def is_sealed(fd: int) -> bool:
    """True for a memfd as `memfd_with` makes them: nobody can change it, or take what is mapped away."""
    return fcntl.fcntl(fd, fcntl.F_GET_SEALS) & _SEALS == _SEALS


def close_fds(fds: Iterable[int]) -> None:
    """Close each descriptor, whatever became of it."""
    for fd in fds:
        with contextlib.suppress(OSError):
            os.close(fd)


def send_message(sock: socket.socket, message: Message, fds: Sequence[int] = ()) -> None:
    """Send one message; the caller keeps its descriptors. Raises OSError, BlockingIOError when full."""
    data = json.dumps(message, separators=(",", ":")).encode()
    if len(data) > MESSAGE_BYTES:
        raise ValueError(f"a message of {len(data)} bytes is over {MESSAGE_BYTES}")
    if len(data) <= PACKET_BYTES:
        socket.send_fds(sock, [data], list(fds))
        return
    spill = memfd_with("message", [data])
    try:
        socket.send_fds(sock, [_BY_MEMFD], [spill, *fds])
    finally:
        os.close(spill)


def receive_message(
    sock: socket.socket, *, wait: bool = True, most_bytes: int = MESSAGE_BYTES, most_fds: int = MAX_FDS
) -> tuple[Message, list[int]] | None:
    """The next message and its descriptors, now the caller's; None when the other side is gone.

    Raises BlockingIOError or TimeoutError as the socket does, ValueError for what is not a message or over
    its bounds. Without `wait` a blocking socket, too, raises BlockingIOError where nothing has arrived.
    """
    try:
        how = socket.MSG_CMSG_CLOEXEC | (0 if wait else socket.MSG_DONTWAIT)
        data, fds, flags, _ = socket.recv_fds(sock, PACKET_BYTES, MAX_FDS, how)
    except ConnectionResetError:
        return None
    if not data:
        return None
    try:
        if flags & (socket.MSG_CTRUNC | socket.MSG_TRUNC):
            raise ValueError("a message was truncated")
        message = _parse(data, fds, most_bytes)
        if len(fds) > most_fds:
            raise ValueError(f"a message with {len(fds)} descriptors, over {most_fds}")
        return message, fds
    except BaseException:
        close_fds(fds)
        raise


def _parse(data: bytes, fds: list[int], most_bytes: int) -> Message:
    """The message of a packet; takes the first descriptor away where that is what holds it."""
    if data == _BY_MEMFD:
        if not fds:
            raise ValueError("a message in a file without the file")
        data = _read_memfd(fds.pop(0), most_bytes)
    try:
        message = json.loads(data)
    except RecursionError:
        raise ValueError("a message is nested too deeply") from None
    if not isinstance(message, dict):
        raise ValueError("a message must be an object")
    return message


def _read_memfd(fd: int, most_bytes: int) -> bytes:
    try:
        if not is_sealed(fd):
            raise ValueError("a message in a file that may still change")
        size = os.fstat(fd).st_size
        if size > most_bytes:
            raise ValueError(f"a message of {size} bytes is over {most_bytes}")
        return os.pread(fd, size, 0)
    finally:
        os.close(fd)


class Channel:
    """The child's blocking end."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        # Between any two tokens the child looks for a message; asking costs less than a failed read.
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)

    @classmethod
    def from_fd(cls, fd: int) -> Channel:
        """Take over an inherited descriptor."""
        os.set_inheritable(fd, False)
        sock = socket.socket(fileno=fd)
        sock.setblocking(True)
        return cls(sock)

    def send(self, message: Message, fds: Sequence[int] = ()) -> None:
        """Send one message; raises OSError when the parent is gone."""
        send_message(self._sock, message, fds)

    def receive(self) -> tuple[Message, list[int]]:
        """Wait for the next message; raises EOFError when the parent is gone."""
        return _require(receive_message(self._sock))

    def receive_waiting(self) -> tuple[Message, list[int]] | None:
        """A message that is already there, or None; raises EOFError when the parent is gone."""
        if not self._poll.poll(0):
            return None
        try:
            return _require(receive_message(self._sock, wait=False))
        except BlockingIOError:
            return None


def _require(received: tuple[Message, list[int]] | None) -> tuple[Message, list[int]]:
    if received is None:
        raise EOFError
    return received


def child_channel(oom_score: int = 500) -> Channel:
    """Called first in a child: dies with the parent, leaves Ctrl-C and SIGTERM to it, opens the channel.

    `oom_score` is how much sooner than its parent the kernel ends it where memory is short, up to 1000.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--of", help="the program whose child it is, for people who list processes")
    args = parser.parse_args()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != args.parent:
        sys.exit("the parent process is gone")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    begin_child(oom_score)
    return Channel.from_fd(args.fd)

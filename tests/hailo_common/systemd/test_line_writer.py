"""Standard error that is slow, shared or closed."""

from __future__ import annotations

import os
import pty
import socket
import time

import pytest

from hailo_common.systemd.journal import LineWriter


def fill(writer: LineWriter) -> int:
    count = 0
    while writer.write(b"x" * 999 + b"\n") and count < 5000:
        count += 1
    return count


def test_a_full_pipe_refuses_at_once_and_continues_with_whole_lines() -> None:
    read_fd, write_fd = os.pipe()
    writer = LineWriter(write_fd)
    started = time.monotonic()
    assert fill(writer) < 5000
    assert time.monotonic() - started < 1
    text = os.read(read_fd, 1 << 20)
    assert writer.write(b"last\n")
    text += os.read(read_fd, 1 << 20)
    assert {len(line) for line in text.splitlines()[:-1]} == {999}
    assert text.endswith(b"\nlast\n")
    assert os.get_blocking(write_fd), "the flags of a shared pipe are not ours to change"
    writer.close()
    os.close(read_fd)
    os.close(write_fd)


def test_a_pipe_that_cannot_be_reopened(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> int:
        raise PermissionError

    read_fd, write_fd = os.pipe()
    with monkeypatch.context() as patch:
        patch.setattr("hailo_common.systemd.journal.os.open", refuse)
        writer = LineWriter(write_fd)
    assert 10 < fill(writer) < 5000
    os.close(read_fd)
    assert writer.write(b"nobody\n")
    os.close(write_fd)


def test_a_stream_socket_as_systemd_gives_one() -> None:
    ours, theirs = socket.socketpair()
    writer = LineWriter(ours.fileno())
    assert 10 < fill(writer) < 5000
    assert ours.getblocking()
    theirs.close()
    assert writer.write(b"nobody\n")
    writer.close()
    ours.close()


def test_a_terminal_nobody_reads() -> None:
    leader, follower = pty.openpty()
    writer = LineWriter(follower)
    assert fill(writer) < 5000
    writer.close()
    os.close(follower)
    os.close(leader)

"""A spawned, killable child process that talks over `hailo_common.ipc.messages`.

`ChildProcess` is the parent's asyncio end. The child starts as `python -m MODULE --fd N` and opens its
`hailo_common.ipc.messages.child_channel()` first.
"""

from __future__ import annotations

import asyncio
import collections
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from hailo_common.ipc.messages import CHILD_BYTES, Message, close_fds, receive_message, send_message

EXIT_GRACE_S = 2.0
REAP_S = 5.0
_MAX_AT_ONCE = 32
_MAX_UNREAD = 256
"""Messages of a child that nobody has read; one more ends it."""

Take = Callable[[Message], bool]


class ChildExitedError(Exception):
    """The child is gone; the message says how it ended."""


class ChildProcess:
    """One running child. `receive` and `wait` belong to one task at a time.

    Whatever it sends, it ends of it and not the parent: what is no message, or longer than `most_bytes`, or
    has more than `most_fds` descriptors, or is more than anybody reads.
    """

    def __init__(
        self,
        popen: subprocess.Popen[bytes],
        sock: socket.socket,
        *,
        most_bytes: int = CHILD_BYTES,
        most_fds: int = 0,
    ) -> None:
        self._popen = popen
        self._sock = sock
        self._most_bytes, self._most_fds = most_bytes, most_fds
        self._received: collections.deque[tuple[Message, list[int]]] = collections.deque()
        self._changed = asyncio.Event()
        self._take: Take | None = None
        self._open = True
        self._cause = ""
        asyncio.get_running_loop().add_reader(sock.fileno(), self._readable)

    @classmethod
    def spawn(
        cls,
        module: str,
        *,
        env: Mapping[str, str] | None = None,
        most_bytes: int = CHILD_BYTES,
        most_fds: int = 0,
    ) -> ChildProcess:
        """Start `python -m module`; see `start_child`."""
        return cls(*start_child(module, env=env), most_bytes=most_bytes, most_fds=most_fds)

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._popen.pid

    @property
    def gone(self) -> bool:
        """True once the child has closed its end or was reaped."""
        return not self._open

    def send(self, message: Message, fds: Sequence[int] = ()) -> None:
        """Send one message; raises ChildExitedError when the child is gone or does not read."""
        try:
            send_message(self._sock, message, fds)
        except BlockingIOError:
            self.kill("it does not read its messages")
            raise ChildExitedError("it does not read its messages") from None
        except OSError as error:
            raise ChildExitedError(self._cause or "it closed its end") from error

    async def receive(self) -> tuple[Message, list[int]]:
        """The next message and its descriptors, now the caller's; raises ChildExitedError."""
        while not self._received:
            if not self._open:
                raise ChildExitedError(await self.wait())
            self._changed.clear()
            await self._changed.wait()
        return self._received.popleft()

    async def receive_until(self, take: Take) -> Message:
        """Give each message to `take` as it arrives, until it returns True; returns that message.

        Nobody is woken for those before it. Descriptors are closed. Raises ChildExitedError.
        """
        self._take = take
        try:
            while True:
                message, fds = await self.receive()
                close_fds(fds)
                if self._take is None or self._taken(message):
                    return message
        finally:
            self._take = None

    def refuse(self, error: Exception) -> ChildExitedError:
        """End a child whose message does not hold what it must; the error to raise."""
        cause = f"it sent an invalid message ({type(error).__name__})"
        self.kill(cause)
        return ChildExitedError(cause)

    def _taken(self, message: Message) -> bool:
        """What `take` says of a message; a child whose message it cannot read is killed."""
        try:
            return self._take is not None and self._take(message)
        except Exception as error:
            self.refuse(error)
            return False

    async def activity(self) -> None:
        """Return when a message waits or the child is gone."""
        while self._open and not self._received:
            self._changed.clear()
            await self._changed.wait()

    def kill(self, cause: str = "") -> None:
        """SIGKILL, at once; `cause` becomes the reason that `wait` returns."""
        self._cause = self._cause or cause
        if self._popen.poll() is None:
            self._popen.kill()

    async def wait(self, grace_s: float = EXIT_GRACE_S) -> str:
        """Reap the child, killed after `grace_s`; returns how it ended. Unread messages are dropped."""
        self._close()
        while self._received:
            close_fds(self._received.popleft()[1])
        if not await self._ends_within(grace_s):
            self.kill("it closed its end but did not exit")
            if not await self._ends_within(REAP_S):
                return f"process {self.pid} is stuck in the kernel: reset the device or reboot"
        return self._cause or describe_exit(self._popen.returncode)

    async def _ends_within(self, seconds: float) -> bool:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while self._popen.poll() is None:
            if loop.time() > deadline:
                return False
            await asyncio.sleep(0.005)
        return True

    def _readable(self) -> None:
        """Take what has arrived, a bounded number of messages at a time."""
        for _ in range(_MAX_AT_ONCE):
            if not self._open or not self._read_one():
                return

    def _read_one(self) -> bool:
        try:
            received = receive_message(self._sock, most_bytes=self._most_bytes, most_fds=self._most_fds)
        except BlockingIOError:
            return False
        except (OSError, ValueError) as error:
            self.refuse(error)
            received = None
        if received is not None and len(self._received) >= _MAX_UNREAD:
            self.kill("it sent more than anybody reads")
            close_fds(received[1])
            received = None
        if received is None:
            self._close()
        elif self._take is not None and not self._received:
            message, fds = received
            if not self._taken(message):
                if fds:
                    close_fds(fds)
                return True
            self._take = None
            self._received.append(received)
        else:
            self._received.append(received)
        self._changed.set()
        return True

    def _close(self) -> None:
        if self._open:
            self._open = False
            asyncio.get_running_loop().remove_reader(self._sock.fileno())
            self._sock.close()


def start_child(
    module: str, *, env: Mapping[str, str] | None = None
) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start `python -m module`, and our end of its channel; needs no event loop.

    Call it on the main thread, whose end the child does not survive.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    command = [sys.executable, *_path_flags(), "-m", module]
    command += ["--fd", str(theirs.fileno()), "--parent", str(os.getpid())]
    # So that `pgrep -f hailo-vision` finds the processes that hold its memory, too.
    command.append(f"--of={Path(sys.argv[0]).name}")
    environ = None if env is None else dict(env)
    try:
        popen = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            env=environ,
            # Ctrl-C is the parent's: while a child still imports, it would end with a traceback.
            process_group=0,
        )
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    return popen, ours


def _path_flags() -> list[str]:
    """A child finds modules where its parent does: in the current folder only if the parent looks there, too.

    That of a service is `/`, and what a child finds modules in, it may read.
    """
    try:
        here = {"", str(Path.cwd())}
    except OSError:
        here = {""}
    return [] if here & set(sys.path) else ["-P"]


def describe_exit(returncode: int) -> str:
    """`killed by SIGKILL` or `exit status 3`."""
    if returncode < 0:
        try:
            return f"killed by {signal.Signals(-returncode).name}"
        except ValueError:
            return f"killed by signal {-returncode}"
    return f"exit status {returncode}"

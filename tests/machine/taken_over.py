"""Put into a machine's walls: each child of the service, once walled off, tries what it may not.

`after(build, name)` replaces a function that builds walls. With the file `/etc/no-walls` nothing is built:
what is tried must succeed then. What came of it is a line on standard error, which systemd keeps.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

HOOK = """
import hailo_taken_over
for_engine = hailo_taken_over.after(for_engine, "engine")
for_decoder = hailo_taken_over.after(for_decoder, "decoder")
if hailo_taken_over.WALLS_AWAY.exists():
    undumpable = lambda: None
"""
"""Appended to `hailo_common/ipc/walls.py` of a machine."""
KEYS = "/etc/hailo/hailo-florence.keys"
MARK = "TAKEN-OVER "
WALLS_AWAY = Path("/etc/no-walls")
_ATTACH, _LITTLE = 16, 64


def after(build: Callable[..., list[str]], name: str) -> Callable[..., list[str]]:
    """The same, and then the attack."""
    libc = ctypes.CDLL(None, use_errno=True)

    def build_and_try(*words: Any) -> list[str]:
        missing = [] if WALLS_AWAY.exists() else build(*words)
        told = {"child": name, "missing": missing, **_tried(os.getppid(), libc)}
        os.write(2, f"{MARK}{json.dumps(told)}\n".encode())
        return missing

    return build_and_try


def _tried(parent: int, libc: ctypes.CDLL) -> dict[str, str]:
    tries: dict[str, Callable[[], object]] = {
        "memory of the parent": lambda: memory_of(parent),
        "environment of the parent": lambda: _read(f"/proc/{parent}/environ"),
        "ptrace of the parent": lambda: checked(libc.ptrace(_ATTACH, parent, 0, 0)),
        "vm_readv of the parent": lambda: checked(libc.process_vm_readv(parent, None, 0, None, 0, 0)),
        "signal to the parent": lambda: os.kill(parent, signal.SIGURG),
        "key file": lambda: _read(KEYS),
        "key file by /proc": lambda: _read(f"/proc/{parent}/root{KEYS}"),
        "configuration": lambda: _read("/etc/xdg/hailo-florence/hailo-florence.json"),
        "other files": lambda: _read("/etc/passwd"),
        "state folder": lambda: _write("/var/lib/hailo-florence/new"),
        "a connection": lambda: socket.socket().connect(("127.0.0.1", 11438)),
        "a program": lambda: os.posix_spawn("/bin/true", ["true"], {}),
    }
    told = {}
    for what, attempt in tries.items():
        try:
            attempt()
            told[what] = "got"
        except Exception as error:
            told[what] = type(error).__name__
    return told


def memory_of(pid: int) -> bytes:
    """The first bytes of the heap."""
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        found = re.match(r"([0-9a-f]+)-[0-9a-f]+ rw", line)
        if found:
            fd = os.open(f"/proc/{pid}/mem", os.O_RDONLY)
            with contextlib.suppress(OSError):
                return os.pread(fd, _LITTLE, int(found[1], 16))
    raise PermissionError


def _read(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY)
    try:
        return os.read(fd, _LITTLE)
    finally:
        os.close(fd)


def _write(path: str) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))


def checked(result: int) -> None:
    """Raise OSError for what a call of the C library gave, if that is an error."""
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")

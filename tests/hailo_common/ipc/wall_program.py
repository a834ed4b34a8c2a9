"""A parent, and a child that somebody has taken over: it tries what it may not, behind walls or without.

    python -m tests.hailo_common.ipc.wall_program none|engine|decoder SECRET MODEL PORT

Both run as one user without rights. Prints a JSON object: what was tried, and "got" or why not.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from hailo_common.ipc.walls import begin_child, for_decoder, for_engine, undumpable
from tests.machine.taken_over import checked, memory_of

NOBODY = 65534
_SET_DUMPABLE = 4
_SEIZE = 0x4206


def main() -> None:
    """Be the parent."""
    walls, secret, model, port = sys.argv[1:]
    if os.getuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        # As after an exec, which this user cannot do with a Python that lies in root's home.
        ctypes.CDLL(None).prctl(_SET_DUMPABLE, 1, 0, 0, 0)
    if walls != "none":
        undumpable()
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        return
    be_taken_over(walls, os.getppid(), Path(secret), Path(model), int(port))


def be_taken_over(walls: str, parent: int, secret: Path, model: Path, port: int) -> None:
    """Build the walls, then try."""
    libc = ctypes.CDLL(None, use_errno=True)
    if walls != "none":
        begin_child(500)
    missing = {"none": list, "engine": lambda: for_engine([str(model)], []), "decoder": for_decoder}[walls]()
    tries: dict[str, Callable[[], object]] = {
        "key file": secret.read_bytes,
        "key file by /proc": lambda: Path(f"/proc/{parent}/root{secret}").read_bytes(),
        "environment of the parent": lambda: os.read(os.open(f"/proc/{parent}/environ", os.O_RDONLY), 9),
        "memory of the parent": lambda: memory_of(parent),
        "ptrace of the parent": lambda: checked(libc.ptrace(_SEIZE, parent, 0, 0)),
        "signal to the parent": lambda: os.kill(parent, signal.SIGURG),
        "a file beside the model": lambda: (model / "new").write_bytes(b""),
        "a connection": lambda: socket.socket().connect(("127.0.0.1", port)),
        "a program": lambda: os.posix_spawn("/bin/true", ["true"], {}),
        "the model": (model / "config.json").read_bytes,
    }
    print(json.dumps({"missing": "; ".join(missing), **attempted(tries)}))


def attempted(tries: Mapping[str, Callable[[], object]]) -> dict[str, str]:
    """What came of each attempt: "got", or the kind of its error."""
    told = {}
    for name, attempt in tries.items():
        try:
            attempt()
            told[name] = "got"
        except Exception as error:
            told[name] = type(error).__name__
    return told


if __name__ == "__main__":
    main()

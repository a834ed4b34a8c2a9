"""Runs hailo-ctl again and again, each time with a fault at one system call: a process that tests talk to.

Everything is imported once. Each run is a fork of this process, which strace attaches to before it begins, so
the calls that count are the command's alone, in the same order every time, and a run takes little time.
One JSON object a line comes in ({"argv": [...], "strace": [...], "log": FILE}), one goes out ({"status": N},
with the negative number of a signal).
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys

from hailo_common.cli import main as ctl
from hailo_common.models import fetch

# The commands' modules too: in a child they would be calls to count, and to fail.
ctl.build_parser()

_PR_SET_PTRACER = 0x59616D61
_DEADLINE_S = 60


def run(argv: list[str], strace: list[str], log: str) -> int:
    """One command in a child; the status as subprocess gives it."""
    gate, opened = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(opened)
        signal.alarm(_DEADLINE_S)
        # Where Yama guards processes, only those that are asked in may attach.
        ctypes.CDLL(None).prctl(_PR_SET_PTRACER, ctypes.c_ulong(-1), 0, 0, 0)
        os.read(gate, 1)
        os._exit(_command(argv))
    os.close(gate)
    tracer = _attach(child, strace, log) if strace else None
    with contextlib.suppress(BrokenPipeError):
        os.write(opened, b"x")
    os.close(opened)
    _, status = os.waitpid(child, 0)
    if tracer is not None:
        tracer.wait(_DEADLINE_S)
    return os.waitstatus_to_exitcode(status)


def _command(argv: list[str]) -> int:
    try:
        return ctl.main(argv)
    except SystemExit as stop:
        return int(stop.code or 0)
    except BaseException as error:
        # What a user would see as a traceback.
        os.write(2, f"uncaught: {error!r}\n".encode())
        return 99


def _attach(child: int, options: list[str], log: str) -> subprocess.Popen[bytes]:
    command = ["strace", "-o", log, "-p", str(child), *options]
    tracer = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert tracer.stderr
    told = tracer.stderr.readline()
    if b"attached" not in told:
        os.kill(child, signal.SIGKILL)
        raise SystemExit(f"strace: {told.decode()}")
    return tracer


def main() -> None:
    """Answer jobs until there are no more."""
    assert fetch
    # The jobs' own lines go to the standard error: the standard output is for answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        job = json.loads(line)
        print(
            json.dumps({"status": run(job["argv"], job.get("strace", []), job.get("log", ""))}),
            file=answers,
            flush=True,
        )


if __name__ == "__main__":
    main()

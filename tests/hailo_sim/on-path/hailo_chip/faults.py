"""Faults that a test injects: at which call, which time, and what happens.

The plan is `$HAILO_SIM_STATE/faults.json`, written by the test before or while the service runs: `{"id": str,
"faults": [{"call", "what", "at", "times", "status", "seconds"}]}`. Calls are counted over all processes since
the plan was written. `$HAILO_SIM_STATE/calls`, where that file exists, gets the name of every call.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from hailo_chip import gil, state
from hailo_chip.settings import speed, state_folder
from hailo_chip.statuses import HailoRTStatusException, failed, failed_with

KINDS = ("status", "hang", "hang-free", "delay", "delay-free", "die", "lost", "stall", "unheard", "wedge")
"""`-free` waits with the global lock free; `die` ends the process by SIGKILL, without a word; `stall` makes
the chip slow at `prefill` and `token`, which programs see as time-outs; `unheard` is a reply that came before
anybody waited for it: libhailort sleeps through it until its own limit, with the lock held; `wedge` is a chip
that is lost and that no reboot brings back."""


@cache
def _plan_path() -> str:
    return str(state_folder() / "faults.json")


@cache
def _log() -> int | None:
    path = state_folder() / "calls"
    return os.open(path, os.O_WRONLY | os.O_APPEND) if path.exists() else None


def point(call: str) -> float:
    """A call begins: do what the plan says about it. Raises the raw status exception.

    Returns the seconds that the chip stalls, which only calls on the chip look at.
    """
    log = _log()
    if log is not None:
        os.write(log, f"{os.getpid()} {call}\n".encode())
    fault = _due(call)
    return 0.0 if fault is None else _happen(fault)


def logged(call: str) -> bool:
    """As `point`, for a destructor, which can raise nothing: the log has it. True when all went well."""
    try:
        point(call)
    except HailoRTStatusException as error:
        print(f"[HailoRT] [critical] {call} failed with status {error.args[0]}", file=sys.stderr, flush=True)
        return False
    return True


def at_import() -> None:
    """The package is imported: with any fault planned here the real one fails to load its library."""
    try:
        point("import")
    except HailoRTStatusException as error:
        raise ImportError("libhailort.so: cannot open shared object file") from error


def _due(call: str) -> Mapping[str, Any] | None:
    try:
        stamp = os.stat(_plan_path()).st_mtime_ns  # noqa: PTH116 - called often, and a Path is slow
    except FileNotFoundError:
        return None
    plan = _read(_plan_path(), stamp)
    mine = [fault for fault in plan["faults"] if fault["call"] == call]
    if not mine:
        return None
    number = _count(plan["id"], call)
    for fault in mine:
        first, times = int(fault.get("at", 1)), int(fault.get("times", 1))
        if number >= first and (times == 0 or number < first + times):
            return dict(fault)
    return None


@cache
def _read(path: str, stamp: int) -> Mapping[str, Any]:
    plan: Mapping[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    for fault in plan["faults"]:
        if fault["what"] not in KINDS:
            raise RuntimeError(f"{path}: unknown kind of fault {fault['what']!r}")
    return plan


def _count(plan: str, call: str) -> int:
    """How often the call happened since the plan was written, this time included."""
    descriptor = os.open(state_folder() / f"count-{plan}-{call}", os.O_RDWR | os.O_CREAT | os.O_APPEND)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.write(descriptor, b".")
        return os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)


def _happen(fault: Mapping[str, Any]) -> float:
    what, seconds = fault["what"], float(fault.get("seconds", 0))
    if what == "stall":
        return seconds
    if what == "unheard":
        gil.hold(speed().limit_s(fault["call"]))
        raise failed("TIMEOUT")
    if what == "status":
        raise failed_with(int(fault["status"]))
    if what == "wedge":
        (state_folder() / "wedged").touch()
    if what in ("lost", "wedge"):
        state.lose(seconds)
        raise failed("COMMUNICATION_CLOSED")
    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    _wait(what, seconds)
    return 0.0


def _wait(what: str, seconds: float) -> None:
    if what == "hang":
        gil.hang()
    while what == "hang-free":
        gil.wait(3600)
    (gil.hold if what == "delay" else gil.wait)(seconds)

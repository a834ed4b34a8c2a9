"""Bounds on what a model's own programs may take: its chat template is one, written by a stranger.

Time is CPU time of this process, memory what the kernel gives it beyond what it has. Both hold for Python on
the main thread; elsewhere only memory is bounded. Native code that never returns is the supervisor's.
"""

from __future__ import annotations

import gc
import resource
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

_STATM = Path("/proc/self/statm")
_AGAIN_S = 0.1
_DATA = 5
"""Which number of `statm` is data and stack, in pages."""


class TookTooMuch(Exception):
    """A bound was met."""


@contextmanager
def bounded(*, seconds: float, nbytes: int) -> Iterator[None]:
    """Raise TookTooMuch where what runs inside takes more CPU time, or more memory than there was."""
    try:
        with _memory(nbytes), _time(seconds):
            yield
    except MemoryError:
        raise TookTooMuch from None


@contextmanager
def _time(seconds: float) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    armed = True

    def out_of_time(_number: int, _frame: FrameType | None) -> None:
        if armed:
            raise TookTooMuch

    before = signal.signal(signal.SIGPROF, out_of_time)
    # What is raised inside a finaliser, or a callback of the garbage collector, is lost: so no collector, and
    # the alarm goes off again.
    collects = gc.isenabled()
    gc.disable()
    signal.setitimer(signal.ITIMER_PROF, seconds, _AGAIN_S)
    try:
        yield
    finally:
        armed = False
        if collects:
            gc.enable()
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@contextmanager
def _memory(nbytes: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    used = int(_STATM.read_bytes().split()[_DATA]) * resource.getpagesize()
    limits = [limit for limit in (used + nbytes, soft, hard) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min(limits), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))

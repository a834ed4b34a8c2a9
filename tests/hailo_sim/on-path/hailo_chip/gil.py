"""Waits that hold Python's global lock, as calls into the real binding do: no other thread runs meanwhile.

Each is one call into C that no signal ends, so that Python's signal handlers wait too. The C library's sleeps
end at a signal; waiting for a mutex does not.
"""

from __future__ import annotations

import ctypes
import time

_libc = ctypes.PyDLL(None)
_CLOCK_MONOTONIC = 1
_mutex = ctypes.create_string_buffer(128)  # larger than pthread_mutex_t anywhere
_libc.pthread_mutex_init(_mutex, None)
_libc.pthread_mutex_lock(_mutex)


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


def hold(seconds: float) -> None:
    """Sleep with the lock held."""
    if seconds > 0:
        whole, rest = divmod(time.monotonic_ns() + int(seconds * 1e9), 1_000_000_000)
        _libc.pthread_mutex_clocklock(_mutex, _CLOCK_MONOTONIC, ctypes.byref(_Timespec(whole, rest)))


def hold_until(moment: float) -> None:
    """Sleep with the lock held until a time of `time.monotonic`."""
    hold(moment - time.monotonic())


def hang() -> None:
    """Never return, with the lock held; only SIGKILL ends it."""
    _libc.pthread_mutex_lock(_mutex)


def wait(seconds: float) -> None:
    """Sleep with the lock free, as calls do that release it."""
    if seconds > 0:
        time.sleep(seconds)

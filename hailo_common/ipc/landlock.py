"""Landlock: a process gives up all files but those it names, and the network. No other module speaks it.

Raw system calls, since no library of Debian 13 has them. Source: `linux/landlock.h`, up to version 6 of the
interface; a kernel without Landlock, or with an older version, gives up less.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from collections.abc import Iterable

_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446
_ASK_VERSION = 1
_PATH_BENEATH = 1
_EXECUTE, _WRITE, _READ, _READ_FOLDER = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REFER, _TRUNCATE, _IOCTL = 1 << 13, 1 << 14, 1 << 15
_LATER = {2: _REFER, 3: _TRUNCATE, 5: _IOCTL}
"""Rights by the version that brought them."""
_FIRST = (1 << 13) - 1
"""What the first version knows."""
_OF_FILES = _EXECUTE | _WRITE | _READ | _TRUNCATE | _IOCTL
_TCP, _SCOPES = 0b11, 0b11
_libc = ctypes.CDLL(None, use_errno=True)


def version() -> int:
    """The kernel's version of Landlock, 0 where there is none."""
    return max(0, int(_libc.syscall(_CREATE, None, ctypes.c_size_t(0), _ASK_VERSION)))


def restrict(readable: Iterable[str] = (), writable: Iterable[str] = ()) -> int:
    """Keep this thread, and what it starts from now on, to these files and folders; returns `version()`.

    Files that are open stay so. Paths that are not there are left out. From version 4 on no TCP connection
    can be made or awaited, from 6 on no process outside be signalled. Needs `no_new_privs`; raises OSError.
    """
    known = version()
    if not known:
        return 0
    files = _FIRST | sum(right for since, right in _LATER.items() if known >= since)
    attributes = struct.pack("=QQQ", files, _TCP if known > 3 else 0, _SCOPES if known > 5 else 0)
    size = 24 if known > 5 else 16 if known > 3 else 8
    rules = _call(_CREATE, attributes, ctypes.c_size_t(size), 0)
    try:
        for path in readable:
            _allow(rules, path, files & (_EXECUTE | _READ | _READ_FOLDER))
        for path in writable:
            _allow(rules, path, files)
        _call(_RESTRICT, rules, 0)
    finally:
        os.close(rules)
    return known


def _allow(rules: int, path: str, access: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        folder = stat.S_ISDIR(os.fstat(place).st_mode)
        beneath = struct.pack("=Qi", access if folder else access & _OF_FILES, place)
        _call(_ADD_RULE, rules, _PATH_BENEATH, beneath, 0)
    finally:
        os.close(place)


def _call(number: int, *arguments: object) -> int:
    made = int(_libc.syscall(number, *arguments))
    if made < 0:
        raise OSError(ctypes.get_errno(), f"system call {number} of Landlock failed")
    return made

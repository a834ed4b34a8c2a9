"""Which system calls a process may still make, by libseccomp. The only module that loads it.

Debian's systemd needs `libseccomp2`, so that it is there; elsewhere nothing is given up.
"""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Iterable
from functools import cache

_LIBRARY = "libseccomp.so.2"
_ALLOW = 0x7FFF0000
_REFUSE = 0x00050000 | errno.EPERM
_ALL_THREADS, _ARCHITECTURE_BAD = 4, 2
_UNKNOWN = -1


def available() -> bool:
    """Load the library, which must be done while files can be opened; False where it is not there."""
    return _library() is not None


@cache
def _library() -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(_LIBRARY)
    except OSError:
        return None


def allow_only(names: Iterable[str]) -> bool:
    """Refuse every other system call with EPERM, for all threads and for ever; False without the library."""
    return _load(_REFUSE, _ALLOW, names)


def refuse(names: Iterable[str]) -> bool:
    """Refuse these system calls with EPERM, for all threads and for ever; False without the library."""
    return _load(_ALLOW, _REFUSE, names)


def _load(default: int, action: int, names: Iterable[str]) -> bool:
    """Names that the architecture does not have are left out. Raises OSError when the kernel refuses."""
    library = _library()
    if library is None:
        return False
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(default)))
    try:
        _check(library.seccomp_attr_set(context, _ALL_THREADS, ctypes.c_uint32(1)))
        _check(library.seccomp_attr_set(context, _ARCHITECTURE_BAD, ctypes.c_uint32(_REFUSE)))
        for name in names:
            number = library.seccomp_syscall_resolve_name(name.encode())
            if number != _UNKNOWN:
                _check(library.seccomp_rule_add_array(context, ctypes.c_uint32(action), number, 0, None))
        _check(library.seccomp_load(context))
    finally:
        library.seccomp_release(context)
    return True


def _check(result: int) -> None:
    if result < 0:
        raise OSError(-result, "libseccomp failed")

"""What a child gives up before it meets what strangers made: files, network, calls, its siblings' memory.

The HTTP process holds the keys and runs as the same user. So each process is not dumpable, which is what lets
another of the same user read its memory, and a child can neither open files of the service nor signal it.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from hailo_common.ipc import landlock, seccomp

_SET_DUMPABLE, _SET_NO_NEW_PRIVS = 4, 38
_SYSTEM = (
    "/usr",
    "/lib",
    "/lib64",
    "/bin",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/proc",
    "/sys",
    "/opt/hailo",
)
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/shm", "/tmp")
"""What libraries open. `/dev/shm` and `/tmp`, the unit's own, are where HailoRT's processes may meet."""
_NEVER = (
    *("ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "pidfd_getfd", "kcmp"),
    *("execve", "execveat", "fork", "vfork", "bpf", "perf_event_open", "userfaultfd", "unshare", "setns"),
    *("mount", "umount2", "pivot_root", "chroot", "open_tree", "move_mount", "fsopen", "fsconfig", "fsmount"),
    *("io_uring_setup", "io_uring_enter", "io_uring_register", "keyctl", "add_key", "request_key"),
    *("init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot"),
    *("swapon", "swapoff", "acct", "quotactl", "open_by_handle_at", "name_to_handle_at", "personality"),
    *("setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setgroups", "capset", "syslog"),
)
_DECODER = (
    *("read", "write", "readv", "writev", "pread64", "pwrite64", "lseek", "close", "close_range", "fstat"),
    *(
        "newfstatat",
        "fstat64",
        "statx",
        "fcntl",
        "fcntl64",
        "dup",
        "dup2",
        "dup3",
        "memfd_create",
        "ftruncate",
    ),
    *("mmap", "mmap2", "munmap", "mprotect", "mremap", "madvise", "brk", "futex", "futex_time64"),
    *("recvmsg", "sendmsg", "recvfrom", "sendto", "poll", "ppoll", "select", "pselect6", "getrandom"),
    *("getrusage", "setrlimit", "getrlimit", "prlimit64", "times", "sched_yield"),
    *("sched_getaffinity", "sched_setaffinity"),
    *("clock_gettime", "clock_gettime64", "clock_nanosleep", "nanosleep", "gettimeofday", "time"),
    *("rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigreturn", "sigaltstack", "restart_syscall"),
    *("getpid", "gettid", "getppid", "tgkill", "exit", "exit_group", "rseq", "set_robust_list"),
)


def undumpable() -> None:
    """Let no other process of the user read this one's memory, environment or descriptors, and no core."""
    _prctl(_SET_DUMPABLE, 0)


def begin_child(oom_score: int) -> None:
    """What every child does first: memory is taken from it before its parent, and nothing gains it rights."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(oom_score), encoding="ascii")
    undumpable()
    _prctl(_SET_NO_NEW_PRIVS, 1)


def for_decoder() -> list[str]:
    """No path at all, and the few calls that decoding needs; returns what this machine has no wall for."""
    return _missing([], [], lambda: seccomp.allow_only(_DECODER))


def for_engine(models: Sequence[str], devices: Iterable[str]) -> list[str]:
    """The model's folders to read, the devices, and the system's files; returns as `for_decoder`.

    Call it while there is one thread: Landlock holds for the calling one and its children.
    """
    python = {sys.prefix, sys.base_prefix, *(path for path in sys.path if path.startswith("/"))} - {"/"}
    readable = [*_SYSTEM, *sorted(python), *_packages(), *models]
    return _missing(readable, [*_DEVICES, *devices], lambda: seccomp.refuse(_NEVER))


def _packages() -> list[str]:
    """Ours: of an editable installation Python knows them by a finder of its own, and no path leads there."""
    return sorted(map(str, Path(__file__).parents[2].glob("hailo_*/")))


def _missing(
    readable: Sequence[str], writable: Sequence[str], filter_calls: Callable[[], object]
) -> list[str]:
    missing = [] if seccomp.available() else ["libseccomp is not installed"]
    try:
        if not landlock.restrict(readable, writable):
            missing.append("the kernel has no Landlock")
    except OSError as error:
        missing.append(f"Landlock: {error.strerror}")
    try:
        filter_calls()
    except OSError as error:
        missing.append(f"seccomp: {error.strerror}")
    return missing


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)

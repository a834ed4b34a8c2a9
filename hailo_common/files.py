"""Files that are whole or absent under their real name, whatever happens to the process or the power.

The temporary name is fixed (`.NAME.tmp`) and guarded by a lock, so a writer that died leaves at most one
stray file, and the next writer of the same name removes it.

Numbers of bytes for people.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from pathlib import Path

_ANY_WRITER = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def write_atomic(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Replace `path` by `data`; an existing file keeps its owner and mode, a new one gets `mode`.

    A symbolic link is followed. On OSError the old file is untouched and no temporary file is left.
    """
    target = Path(os.path.realpath(path))
    temporary = temporary_name(target)
    fd = _create_locked(temporary)
    try:
        try:
            _fill(fd, data)
            _copy_owner_and_mode(fd, target, mode)
            os.fsync(fd)
            temporary.rename(target)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
    finally:
        os.close(fd)
    fsync_folder(target.parent)


def update(path: Path, data: bytes, mode: int = 0o644) -> bool:
    """Write `path` as `write_atomic` does, and folders above it, where it has other content; True then."""
    if path.is_file() and path.read_bytes() == data:
        remove_stray(path)
        return False
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    write_atomic(path, data, mode)
    return True


def remove_stray(path: Path) -> None:
    """Remove what a writer of `path` left behind that died, for programs that find nothing to write."""
    temporary = temporary_name(Path(os.path.realpath(path)))
    if os.path.lexists(temporary):
        _await_or_remove(temporary)


def temporary_name(path: Path) -> Path:
    """Where `write_atomic` prepares the new content of `path`."""
    return path.with_name(f".{path.name}.tmp")


def fsync_folder(folder: Path) -> None:
    """Make renames in `folder` survive a power cut."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _create_locked(temporary: Path) -> int:
    while True:
        try:
            fd = os.open(temporary, _NEW, 0o600)
        except FileExistsError:
            _await_or_remove(temporary)
            continue
        fcntl.flock(fd, fcntl.LOCK_EX)
        # Between creation and lock another writer may have taken our file for a stray one.
        if _is_still(temporary, fd):
            return fd
        os.close(fd)


def _await_or_remove(temporary: Path) -> None:
    """Wait for a living writer of `temporary`; remove what a dead one left."""
    try:
        fd = os.open(temporary, _ANY_WRITER)
    except FileNotFoundError:
        return
    except OSError:
        # A symbolic link, or a stray file we may not even open: the name is ours to reuse.
        temporary.unlink(missing_ok=True)
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        if _is_still(temporary, fd):
            temporary.unlink(missing_ok=True)
    finally:
        os.close(fd)


def _is_still(path: Path, fd: int) -> bool:
    try:
        here = os.lstat(path)
    except FileNotFoundError:
        return False
    mine = os.fstat(fd)
    return (here.st_dev, here.st_ino) == (mine.st_dev, mine.st_ino)


def _fill(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _copy_owner_and_mode(fd: int, target: Path, mode: int) -> None:
    try:
        old = target.stat()
    except FileNotFoundError:
        os.fchmod(fd, mode)
        return
    new = os.fstat(fd)
    if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
        with contextlib.suppress(PermissionError):
            os.fchown(fd, old.st_uid, old.st_gid)
    # After chown, which clears set-id bits.
    os.fchmod(fd, stat.S_IMODE(old.st_mode))


def size_text(size: float) -> str:
    """A number of bytes in powers of ten: `2.18 GB`."""
    if size < 1000:
        return f"{size:.0f} B"
    for unit in ("kB", "MB", "GB", "TB"):
        size /= 1000
        if size < 999.5 or unit == "TB":
            break
    return f"{size:.3g} {unit}"

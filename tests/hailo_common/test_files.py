"""A file is whole or absent, whatever fails."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from hailo_common.files import temporary_name, write_atomic

ROOT = Path(__file__).parents[2]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_new_file_has_the_mode_asked_for_whatever_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        write_atomic(tmp_path / "a", b"1")
        write_atomic(tmp_path / "b", b"1", mode=0o600)
    finally:
        os.umask(old)
    assert (tmp_path / "a").stat().st_mode & 0o7777 == 0o644
    assert (tmp_path / "b").stat().st_mode & 0o7777 == 0o600
    assert names(tmp_path) == ["a", "b"]


def test_existing_file_keeps_mode_and_owner(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    path.chmod(0o640)
    owner = (1234, 2345) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
    os.chown(path, *owner)
    write_atomic(path, b"new", mode=0o600)
    status = path.stat()
    assert path.read_bytes() == b"new"
    assert status.st_mode & 0o7777 == 0o640
    assert (status.st_uid, status.st_gid) == owner


def test_symbolic_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/a").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real/a")
    write_atomic(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real/a").read_bytes() == b"new"


def fail(*args: object, **kwargs: object) -> None:
    raise OSError(5, "Input/output error")


@pytest.mark.parametrize("target", ["os.fsync", "os.write", "os.fchmod", "pathlib.Path.rename"])
def test_injected_failures_leave_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    path = tmp_path / "a"
    write_atomic(path, b"old")
    with monkeypatch.context() as patch:
        patch.setattr(target, fail)
        with pytest.raises(OSError, match="Input/output"):
            write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_order_is_data_then_rename_then_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def note_fsync(fd: int) -> None:
        calls.append("fsync folder" if Path(f"/proc/self/fd/{fd}").is_dir() else "fsync file")
        fsync(fd)

    def note_rename(path: Path, to: Path) -> Path:
        calls.append("rename")
        return rename(path, to)

    monkeypatch.setattr("os.fsync", note_fsync)
    monkeypatch.setattr("pathlib.Path.rename", note_rename)
    write_atomic(tmp_path / "a", b"x")
    assert calls == ["fsync file", "rename", "fsync folder"]


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a", b"old")
    code = (
        "import resource, sys; from pathlib import Path; from hailo_common.files import write_atomic\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try: write_atomic(Path(sys.argv[1]), b'x' * 10000)\n"
        "except OSError as error: print(error.errno)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "27\n"
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def put_file(path: Path) -> None:
    path.write_bytes(b"left by a killed writer")


def put_link(path: Path) -> None:
    path.symlink_to("a")


@pytest.mark.parametrize("put", [put_file, put_link, os.mkfifo])
def test_what_a_dead_writer_left_is_reused(tmp_path: Path, put: Callable[[Path], None]) -> None:
    (tmp_path / "a").write_bytes(b"old")
    put(temporary_name(tmp_path / "a"))
    write_atomic(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert not (tmp_path / "a").is_symlink()
    assert names(tmp_path) == ["a"]


def test_a_living_writer_is_waited_for(tmp_path: Path) -> None:
    temporary = temporary_name(tmp_path / "a")
    fd = os.open(temporary, os.O_CREAT | os.O_WRONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    writer = threading.Thread(target=write_atomic, args=(tmp_path / "a", b"second"))
    writer.start()
    writer.join(0.2)
    assert writer.is_alive()
    temporary.rename(tmp_path / "a")
    os.close(fd)
    writer.join(5)
    assert (tmp_path / "a").read_bytes() == b"second"
    assert names(tmp_path) == ["a"]


def test_many_writers_leave_one_whole_file(tmp_path: Path) -> None:
    contents = [bytes([65 + number]) * 5000 for number in range(8)]

    def write_often(data: bytes) -> None:
        for _ in range(10):
            write_atomic(tmp_path / "a", data)

    threads = [threading.Thread(target=write_often, args=(data,)) for data in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "a").read_bytes() in contents
    assert names(tmp_path) == ["a"]

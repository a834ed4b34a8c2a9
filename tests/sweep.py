"""A fault at every system call of a command that matters, one by one, and what must hold after each."""

from __future__ import annotations

import collections
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import pytest

TREE = Path(__file__).parents[1]
WRITING = (
    "openat,write,fsync,close,rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,fchmod,ftruncate"
)
TALKING = f"{WRITING},flock,connect,sendto,recvfrom"
FAULTS = {"kill": "signal=KILL", "full": "error=ENOSPC", "broken": "error=EIO"}
_STEP = 7
_CALL = re.compile(r"^(?:\d+ +)?(\w+)\(", re.MULTILINE)


class Driver:
    """The process that runs commands with faults."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "strace.log"
        self._errors = (folder / "errors").open("w+")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.sweep_driver"],
            cwd=TREE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            if pipe:
                pipe.close()

    def run(self, argv: list[str], *strace: str) -> int:
        """Run hailo-ctl; the status, or the negative number of the signal that ended it."""
        assert self._process.stdin
        assert self._process.stdout
        job = {"argv": argv, "strace": list(strace), "log": str(self._log)}
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(self.errors())
        return int(json.loads(answer)["status"])

    def calls(self, argv: list[str], names: str) -> dict[str, int]:
        """How often each of these system calls happens."""
        assert self.run(argv, "-e", f"trace={names}") == 0, self.errors()
        return dict(collections.Counter(_CALL.findall(self._log.read_text())))

    def errors(self) -> str:
        """What the commands wrote so far, at most the end of it."""
        self._errors.flush()
        return Path(self._errors.name).read_text()[-3000:]


def points(calls: dict[str, int]) -> Iterator[tuple[str, str]]:
    """Every fault at every call: (strace's words, a name)."""
    for call, count in calls.items():
        writes = call in WRITING.split(",")
        for number in range(1, count + 1):
            for name, fault in FAULTS.items():
                if name == "kill" or writes:
                    yield f"{call}:{fault}:when={number}", f"{call} {number} {name}"


def sweep(
    driver: Driver,
    argv: list[str],
    names: str,
    *,
    prepare: Callable[[], None],
    intact: Callable[[], None],
    repaired: Callable[[], None],
) -> int:
    """Run with each fault from the prepared state, check, run once more, check; returns how many there are.

    `make sweep` takes all faults, a plain test run every seventh.
    """
    prepare()
    calls = driver.calls(argv, names)
    repaired()
    faults = list(points(calls))
    for inject, name in faults[:: 1 if os.environ.get("HAILO_SWEEP") == "all" else _STEP]:
        prepare()
        status = driver.run(argv, "-e", f"trace={names}", "-e", f"inject={inject}")
        try:
            assert status != 99, driver.errors()
            intact()
            assert driver.run(argv) == 0, driver.errors()
            repaired()
        except AssertionError as error:
            raise AssertionError(f"after {name} (status {status}): {error}") from None
    return len(faults)


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    """A driver, if strace is here and may attach."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed (apt install strace)")
    with Driver(tmp_path_factory.mktemp("driver")) as found:
        try:
            found.run(["config", "check", "--root", "/nonexistent"], "-e", "trace=fsync")
        except RuntimeError as error:
            pytest.skip(f"strace cannot attach to a process here: {error}")
        yield found

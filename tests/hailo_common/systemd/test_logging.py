"""One handler for every logger of a process, chosen by what standard error is."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

from hailo_common.complaint import is_journal_stream
from hailo_common.systemd.logging import Journal, JsonLines, PlainLines, choose_handler
from tests.hailo_common.systemd.conftest import TREE, FakeJournal, run_python

SET_UP = (
    "import logging; from hailo_common.systemd.logging import setup_logging; "
    "setup_logging('hailo-x', 'info')\n"
)


def stream_of(fd: int) -> str:
    status = os.fstat(fd)
    return f"{status.st_dev}:{status.st_ino}"


def test_handler_fits_the_descriptor(tmp_path: Path, journal: FakeJournal) -> None:
    with (tmp_path / "log").open("wb") as file:
        fd = file.fileno()
        under_systemd = {"JOURNAL_STREAM": stream_of(fd)}
        chosen = [
            choose_handler("s", under_systemd, fd, journal.path),
            choose_handler("s", under_systemd, fd, tmp_path / "missing"),
            choose_handler("s", {"JOURNAL_STREAM": "1:2"}, fd, journal.path),
            choose_handler("s", {}, fd, journal.path),
        ]
        for handler in chosen:
            handler.close()
    assert [type(handler) for handler in chosen] == [Journal, JsonLines, JsonLines, JsonLines]
    assert not is_journal_stream(9999, under_systemd)


def test_terminal_gets_plain_text(tmp_path: Path) -> None:
    leader, follower = pty.openpty()
    handler = choose_handler("s", {}, follower, tmp_path)
    assert isinstance(handler, PlainLines)
    handler.close()
    os.close(leader)
    os.close(follower)


def messages(code: str) -> list[dict[str, object]]:
    done = run_python(SET_UP + code)
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_foreign_loggers_and_warnings_come_through() -> None:
    lines = messages(
        "import warnings, uvicorn; warnings.simplefilter('always')\n"
        "uvicorn.Config(lambda: None, log_config=None, access_log=False)\n"
        "logging.getLogger('uvicorn.error').warning('from uvicorn')\n"
        "logging.getLogger('fastapi').warning('from fastapi')\n"
        "logging.getLogger('asyncio').debug('too fine')\n"
        "warnings.warn('old\\nthing', DeprecationWarning)\n"
    )
    assert [line["logger"] for line in lines] == ["uvicorn.error", "fastapi", "py.warnings"]
    assert "DeprecationWarning: old\\nthing" in str(lines[2]["message"])


def test_setting_up_again_replaces_the_handler() -> None:
    code = "setup_logging('hailo-y', 'error'); logging.warning('no'); logging.error('yes')"
    (line,) = messages(code)
    assert (line["service"], line["message"]) == ("hailo-y", "yes")


def test_uncaught_exceptions_are_records() -> None:
    lines = messages(
        "import threading\nt = threading.Thread(target=lambda: 1 / 0)\nt.start()\nt.join()\n{}['x']"
    )
    assert [line["level"] for line in lines] == ["CRITICAL", "CRITICAL"]
    assert "ZeroDivisionError" in str(lines[0]["exception"])
    assert "KeyError: 'x'" in str(lines[1]["exception"])


def test_the_forger_of_fault_a14_gets_nothing_through() -> None:
    code = (
        "for text in ('\\n<0>PWNED', '\\x1b[31m', 'a\\u202eb'):\n"
        "    logging.info(text, extra={'fields': {'ua': text}})"
    )
    done = run_python(SET_UP + code)
    assert len(done.stderr.splitlines()) == 3
    assert not any(ord(char) < 32 or char == "\u202e" for char in done.stderr.replace("\n", ""))
    assert not any(line.startswith("<0>") for line in done.stderr.splitlines())


def test_a_blocked_stderr_never_stops_a_process(tmp_path: Path) -> None:
    read_fd, write_fd = os.pipe()
    os.set_inheritable(write_fd, True)
    code = (
        "import logging, os, sys; from hailo_common.systemd.logging import setup_logging\n"
        f"os.dup2({write_fd}, 2); setup_logging('s')\n"
        "for n in range(400): logging.info('%d %s', n, 'x' * 2000)\n"
        "print('alive')"
    )
    done = run_python_with_fd(code, write_fd)
    assert done == "alive\n"
    os.close(read_fd)
    os.close(write_fd)


def run_python_with_fd(code: str, fd: int) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=TREE,
        pass_fds=[fd],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return done.stdout

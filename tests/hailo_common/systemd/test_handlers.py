"""JSON lines, plain lines and the journal."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from hailo_common.systemd.journal import JournalSocket, LineWriter, encode
from hailo_common.systemd.logging import Journal, JsonLines, Lines, PlainLines
from hailo_common.systemd.record import request_id
from tests.hailo_common.systemd.conftest import FakeJournal, failed, parse_entry, record


class Pipe:
    """A pipe whose reading end a test controls."""

    def __init__(self) -> None:
        self.read_fd, self.write_fd = os.pipe()
        os.set_blocking(self.read_fd, False)
        self.writer = LineWriter(self.write_fd)

    def text(self) -> str:
        data = b""
        try:
            while part := os.read(self.read_fd, 1 << 20):
                data += part
        except BlockingIOError:
            pass
        return data.decode()

    def close(self) -> None:
        self.writer.close()
        for fd in (self.read_fd, self.write_fd):
            os.close(fd)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close()


def test_json_line_has_the_documented_fields(pipe: Pipe) -> None:
    handler = JsonLines("hailo-florence", pipe.writer)
    token = request_id.set("r1")
    fields = {"inference_time_ms": 782, "Image-Size": 5.5, "pid": "clash", "odd": float("nan"), "x": [1]}
    handler.handle(record("Caption %s", "generated\n", extra=fields))
    request_id.reset(token)
    line = json.loads(pipe.text())
    assert datetime.fromisoformat(line.pop("timestamp")).utcoffset() is not None
    assert line == {
        "level": "INFO",
        "message": "Caption generated\\n",
        "service": "hailo-florence",
        "logger": "hailo.test",
        "pid": os.getpid(),
        "request_id": "r1",
        "inference_time_ms": 782,
        "image_size": 5.5,
        "pid_": "clash",
        "odd": "nan",
        "x": "[1]",
    }


def test_json_timestamp_is_rfc_3339_utc(pipe: Pipe) -> None:
    made = record("x")
    made.created = 1769862896.5
    JsonLines("s", pipe.writer).handle(made)
    assert json.loads(pipe.text())["timestamp"] == "2026-01-31T12:34:56.500Z"


def test_json_without_message_shows_the_fields_and_errors_their_traceback(pipe: Pipe) -> None:
    handler = JsonLines("s", pipe.writer)
    handler.handle(record("", endpoint="/v1/caption"))
    handler.handle(failed("broken", ValueError("a\nb")))
    first, second = map(json.loads, pipe.text().splitlines())
    assert first["message"] == "endpoint=/v1/caption"
    assert second["exception"].startswith("Traceback (most recent call last):\n")
    assert second["exception"].endswith("\nValueError: a\\nb")


def test_plain_line(pipe: Pipe) -> None:
    PlainLines(pipe.writer).handle(record("ready\x1b", port=11438))
    assert re.fullmatch(r"\d\d:\d\d:\d\d INFO    ready\\x1b port=11438\n", pipe.text())


def test_a_person_reads_what_was_asked_first(pipe: Pipe) -> None:
    handler = PlainLines(pipe.writer)
    token = request_id.set("0123456789abcdef")
    try:
        fields: dict[str, Any] = {
            "ENDPOINT": "/v1/caption",
            "METHOD": "POST",
            "STATUS": 200,
            "DURATION_MS": 41,
        }
        fields["DURATION_MS"] = 41
        handler.handle(record("", EVT="request", **fields, PEER="10.0.0.9"))
        fields |= {"ENDPOINT": "-", "STATUS": 404, "PATH": "/nix", "CODE": "not_found"}
        handler.handle(record("", EVT="refused", **fields))
        handler.handle(record("Answer generated successfully", MODEL="a b", TOTAL_MS=8))
    finally:
        request_id.reset(token)
    assert [line[17:] for line in pipe.text().splitlines()] == [
        "POST /v1/caption 200 41 ms peer=10.0.0.9 [01234567]",
        "POST /nix 404 not_found 41 ms [01234567]",
        'Answer generated successfully model="a b" total_ms=8 [01234567]',
    ]


def test_a_blocked_reader_costs_lines_and_is_told_how_many(pipe: Pipe) -> None:
    handler = JsonLines("s", pipe.writer)
    for number in range(190):
        handler.handle(record("%d %s", number, "x" * 2000))
    shown = [json.loads(line) for line in pipe.text().splitlines()]
    assert 20 < len(shown) < 50
    handler.handle(record("after"))
    later = [json.loads(line) for line in pipe.text().splitlines()]
    dropped, after = (line for line in later if not line["message"][0].isdigit())
    complete = len(shown) + len(later) - 2
    assert (dropped["message"], dropped["n"]) == ("log lines dropped", 190 - complete)
    assert (dropped["level"], after["message"]) == ("WARNING", "after")


def test_a_closed_reader_is_no_error(pipe: Pipe) -> None:
    handler = JsonLines("s", pipe.writer)
    os.close(pipe.read_fd)
    for _ in range(3):
        handler.handle(record("nobody listens"))
    pipe.read_fd = os.open("/dev/null", os.O_RDONLY)


def test_a_handler_never_raises(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    handler = PlainLines(pipe.writer)
    with monkeypatch.context() as patch:
        patch.setattr(handler, "deliver", lambda made: 1 / 0)
        handler.handle(record("lost"))
    handler.handle(record("kept"))
    assert "log lines dropped n=1" in pipe.text()


def test_no_line_is_kept_back(pipe: Pipe) -> None:
    """How many may come is the unit's business: LogRateLimitIntervalSec= and LogRateLimitBurst=."""
    handler = PlainLines(pipe.writer)
    for _ in range(300):
        handler.handle(record("again"))
    assert len(pipe.text().splitlines()) == 300


@pytest.fixture
def handler(journal: FakeJournal, pipe: Pipe) -> Iterator[Journal]:
    made = Journal("hailo-florence", JournalSocket(journal.path), pipe.writer)
    yield made
    made.close()


def test_journal_entry(journal: FakeJournal, handler: Journal) -> None:
    token = request_id.set("r1")
    handler.handle(record("done", inference_time_ms=450, _9evil="x\n", priority=0, level=logging.WARNING))
    request_id.reset(token)
    assert journal.entries() == [
        {
            "MESSAGE": "done request_id=r1 inference_time_ms=450 _9evil=x\\n priority=0",
            "PRIORITY": "4",
            "SYSLOG_IDENTIFIER": "hailo-florence",
            "LOGGER": "hailo.test",
            "CODE_FILE": "/src/x.py",
            "CODE_LINE": "7",
            "CODE_FUNC": "function",
            "REQUEST_ID": "r1",
            "INFERENCE_TIME_MS": "450",
            "EVIL": "x\\n",
            "PRIORITY_": "0",
        }
    ]


@pytest.mark.parametrize(
    ("level", "priority"), [(50, "2"), (40, "3"), (30, "4"), (20, "6"), (10, "7"), (45, "3")]
)
def test_priorities(journal: FakeJournal, handler: Journal, level: int, priority: str) -> None:
    handler.handle(record("x", level=level))
    assert journal.entries()[0]["PRIORITY"] == priority


def test_traceback_is_one_entry_of_many_lines(journal: FakeJournal, handler: Journal) -> None:
    handler.handle(failed("broken", ValueError("<0>\nPRIORITY=0")))
    (entry,) = journal.entries()
    assert entry["PRIORITY"] == "3"
    lines = entry["MESSAGE"].split("\n")
    assert lines[:2] == ["broken", "Traceback (most recent call last):"]
    assert lines[-1] == "ValueError: <0>\\nPRIORITY=0"


def test_big_entries_go_by_memfd(journal: FakeJournal, handler: Journal) -> None:
    handler.handle(record("%s", "x" * 60_000, extra={f"field{n}": "y" * 60_000 for n in range(8)}))
    (entry,) = journal.entries()
    assert entry["FIELD7"] == "y" * 60_000


def test_a_stopped_journald_costs_lines_and_is_told(journal: FakeJournal, handler: Journal) -> None:
    for number in range(150):
        handler.handle(record("%d %s", number, "x" * 8000))
    kept = len(journal.entries())
    assert 0 < kept < 150
    handler.handle(record("after"))
    dropped, after = journal.entries()
    assert dropped["MESSAGE"] == f"log lines dropped n={150 - kept}"
    assert (dropped["N"], after["MESSAGE"]) == (str(150 - kept), "after")


def test_journald_gone_and_back(journal: FakeJournal, handler: Journal, pipe: Pipe) -> None:
    journal.close()
    handler.handle(record("while away"))
    assert pipe.text() == "while away\n"
    again = FakeJournal(journal.path)
    handler.handle(record("back"))
    assert [entry["MESSAGE"] for entry in again.entries()] == ["back"]
    again.close()


def test_encoding_survives_lone_surrogates() -> None:
    assert parse_entry(encode([("A", "\ud800"), ("B", "1\n2")])) == {"A": "?", "B": "1\n2"}


def test_plain_files_sockets_and_closed_descriptors(tmp_path: Path) -> None:
    with (tmp_path / "log").open("ab") as file:
        file.write(b"before\n")
        file.flush()
        writer = LineWriter(file.fileno())
        assert writer.write(b"line\n")
        writer.close()
    assert (tmp_path / "log").read_bytes() == b"before\nline\n"
    gone = LineWriter(9999)
    assert gone.write(b"into the void\n")


def test_base_class_delivers_nothing(pipe: Pipe) -> None:
    with pytest.raises(NotImplementedError):
        Lines(pipe.writer).deliver(record("x"))

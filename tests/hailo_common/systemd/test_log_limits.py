"""Repeated lines are counted."""

from __future__ import annotations

import logging

from hailo_common.systemd.log_limits import Repeats
from hailo_common.systemd.record import line_of
from tests.hailo_common.systemd.conftest import record


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def lines(records: list[logging.LogRecord]) -> list[str]:
    return [line_of(made) for made in records]


def test_equal_lines_pass_twenty_a_second_and_the_rest_is_counted() -> None:
    clock = Clock()
    repeats = Repeats(clock)
    passed = sum(len(repeats.admit(record("refused", code="x", request_id=str(i)))) for i in range(100))
    assert passed == 20
    clock.now += 1
    assert lines(repeats.admit(record("other"))) == ['suppressed n=80 line="refused code=x"', "other"]
    assert lines(repeats.admit(record("refused", code="x"))) == ["refused code=x"]
    assert repeats.flush() == []


def test_a_steady_flood_is_twenty_lines_a_second() -> None:
    clock = Clock()
    repeats = Repeats(clock)
    passed = reports = 0
    for _ in range(10_000):
        clock.now += 0.001
        for made in repeats.admit(record("flood")):
            passed += made.msg == "flood"
            reports += made.msg == "suppressed"
    assert 215 <= passed <= 225
    assert reports == 9


def test_different_lines_of_one_place_have_a_larger_burst() -> None:
    repeats = Repeats(Clock())
    assert sum(len(repeats.admit(record("refused", peer=str(i)))) for i in range(1000)) == 200
    (report,) = repeats.flush()
    assert report.msg == "suppressed"
    assert line_of(report) == 'suppressed n=800 line="refused peer=999"'


def test_levels_and_loggers_do_not_share() -> None:
    repeats = Repeats(Clock())
    for _ in range(30):
        repeats.admit(record("x"))
    assert len(repeats.admit(record("x", level=logging.ERROR))) == 1


def test_memory_is_bounded_and_counts_survive_eviction() -> None:
    repeats = Repeats(Clock())
    for _ in range(50):
        repeats.admit(record("early"))
    for number in range(5000):
        made = record("x", n=number)
        made.lineno = number
        repeats.admit(made)
    assert len(repeats._buckets) <= 512
    assert "suppressed n=30 line=early" in lines(repeats.flush())

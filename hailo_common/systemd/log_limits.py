"""Repeated log lines, counted instead of repeated.

A line that is equal to earlier ones, request id aside, may appear 20 times at once and then 20 times a
second. One place in the code may log 200 different lines at once and then 20 a second.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from hailo_common.systemd.record import line_of

RATE = 20.0
_EQUAL_BURST = 20.0
_PLACE_BURST = 200.0
_REPORT_S = 1.0
_MOST_BUCKETS = 512


@dataclass
class _Bucket:
    tokens: float
    burst: float
    filled_at: float
    suppressed: int = 0
    sample: logging.LogRecord | None = None

    def take(self, now: float) -> bool:
        self.tokens = min(self.burst, self.tokens + (now - self.filled_at) * RATE)
        self.filled_at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


@dataclass
class Repeats:
    """Decides which records are written; `clock` is monotonic."""

    clock: Callable[[], float] = time.monotonic
    _buckets: dict[tuple[object, ...], _Bucket] = field(default_factory=dict)
    _evicted: list[logging.LogRecord] = field(default_factory=list)
    _reported_at: float = float("-inf")

    def admit(self, record: logging.LogRecord) -> list[logging.LogRecord]:
        """The records to write now: reports of what was suppressed, then `record` if it may pass."""
        now = self.clock()
        due = list(self._reports(now)) if now - self._reported_at >= _REPORT_S else []
        refusing = next((bucket for bucket in self._of(record, now) if not bucket.take(now)), None)
        if refusing is None:
            return [*due, record]
        refusing.suppressed += 1
        refusing.sample = record
        return due

    def flush(self) -> list[logging.LogRecord]:
        """Reports of everything suppressed and not yet reported."""
        return list(self._reports(self.clock()))

    def _of(self, record: logging.LogRecord, now: float) -> list[_Bucket]:
        origin = (record.name, record.levelno)
        equal = (*origin, line_of(record, with_request=False)[:1024])
        place = (*origin, record.pathname, record.lineno)
        return [self._bucket(equal, _EQUAL_BURST, now), self._bucket(place, _PLACE_BURST, now)]

    def _bucket(self, key: tuple[object, ...], burst: float, now: float) -> _Bucket:
        bucket = self._buckets.pop(key, None) or _Bucket(burst, burst, now)
        # Re-inserted, so that the first one in the dictionary is the one least recently used.
        self._buckets[key] = bucket
        if len(self._buckets) > _MOST_BUCKETS:
            oldest = self._buckets.pop(next(iter(self._buckets)))
            self._evicted += _report(oldest)
        return bucket

    def _reports(self, now: float) -> Iterator[logging.LogRecord]:
        self._reported_at = now
        yield from self._evicted
        self._evicted.clear()
        for bucket in self._buckets.values():
            yield from _report(bucket)


def _report(bucket: _Bucket) -> list[logging.LogRecord]:
    """The line about what `bucket` kept back, if it did; starts its count anew."""
    sample, count = bucket.sample, bucket.suppressed
    bucket.sample, bucket.suppressed = None, 0
    if sample is None:
        return []
    report = logging.LogRecord(
        sample.name, sample.levelno, sample.pathname, sample.lineno, "suppressed", None, None, sample.funcName
    )
    report.fields = {"n": count, "line": line_of(sample, with_request=False)[:80]}
    return [report]

"""A bar for terminals, few lines for journals."""

from __future__ import annotations

import io

import pytest

from hailo_common.models.progress import Bar, Lines, make_progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_kind_follows_the_output() -> None:
    assert isinstance(make_progress(Terminal()), Bar)
    assert isinstance(make_progress(io.StringIO()), Lines)


def test_the_bar_ends_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    out = Terminal()
    bar = Bar(out)
    bar.begin("toy/big.onnx", 500, 2000)
    clock[0] += 1
    bar.advance(500)
    assert (
        out.getvalue()
        == "\r  toy/big.onnx  [##############..............]  50% of 2 kB  500 B/s  0:00:02 left"
    )
    bar.end()
    bar.say("toy: complete")
    assert out.getvalue().split("\r")[-1] == "toy: complete\n"


def test_lines_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    out = io.StringIO()
    lines = Lines(out)
    lines.begin("toy/big.onnx", 0, 1000)
    for _ in range(100):
        clock[0] += 1
        lines.advance(10)
    lines.end()
    told = out.getvalue().splitlines()
    assert len(told) == 3
    assert told[0] == "toy/big.onnx: 300 B (30%) at 10 B/s 0:01:10 left"
    lines.begin("small", 0, None)
    lines.advance(10)
    assert len(out.getvalue().splitlines()) == 3

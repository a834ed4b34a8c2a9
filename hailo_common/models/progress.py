"""How a fetch reports what it does: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from typing import TextIO

from hailo_common.files import size_text

_WIDTH = 28
_DRAW_S = 0.2
_LINE_S = 30.0
_LINE_SHARE = 0.1


class Progress:
    """Reports one file after the other. This one says nothing about the bytes."""

    def begin(self, label: str, have: int, total: int | None) -> None:
        """A file's bytes begin to come; `have` are here already."""

    def advance(self, count: int) -> None:
        """So many bytes more."""

    def end(self) -> None:
        """The file's bytes stopped coming."""

    def say(self, text: str) -> None:
        """A line of its own."""
        print(text, flush=True)


class _Counting(Progress):
    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._label, self._done, self._total = "", 0, 0
        self._began, self._first = time.monotonic(), 0

    def begin(self, label: str, have: int, total: int | None) -> None:
        self._label, self._done, self._total = label, have, total or 0
        self._began, self._first = time.monotonic(), have

    def _rate(self) -> float:
        return (self._done - self._first) / max(time.monotonic() - self._began, 0.001)

    def _left(self) -> str:
        rate = self._rate()
        if not self._total or rate <= 0:
            return ""
        seconds = round((self._total - self._done) / rate)
        return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02} left"


class Bar(_Counting):
    """One line that is drawn again and again."""

    def __init__(self, out: TextIO) -> None:
        super().__init__(out)
        self._drawn = 0.0
        self._width = 0

    def advance(self, count: int) -> None:
        self._done += count
        if time.monotonic() - self._drawn >= _DRAW_S:
            self._draw()

    def end(self) -> None:
        self._draw()
        self._clear()

    def say(self, text: str) -> None:
        self._clear()
        print(text, file=self._out, flush=True)

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        rate = f"{size_text(self._rate())}/s"
        if self._total:
            share = min(self._done / self._total, 1.0)
            full = round(share * _WIDTH)
            amount = f"[{'#' * full}{'.' * (_WIDTH - full)}] {share:4.0%} of {size_text(self._total)}"
        else:
            amount = size_text(self._done)
        text = f"  {self._label}  {amount}  {rate}  {self._left()}"
        self._out.write("\r" + text.ljust(self._width))
        self._out.flush()
        self._width = len(text)

    def _clear(self) -> None:
        if self._width:
            self._out.write("\r" + " " * self._width + "\r")
            self._out.flush()
            self._width = 0


class Lines(_Counting):
    """A line at most every half minute and every tenth: a journal is no place for bars."""

    def begin(self, label: str, have: int, total: int | None) -> None:
        super().begin(label, have, total)
        self._shown, self._shown_at = have, time.monotonic()

    def advance(self, count: int) -> None:
        self._done += count
        long_ago = time.monotonic() - self._shown_at >= _LINE_S
        much = self._done - self._shown >= self._total * _LINE_SHARE
        if long_ago and much:
            self._shown, self._shown_at = self._done, time.monotonic()
            share = f" ({self._done / self._total:.0%})" if self._total else ""
            self.say(
                f"{self._label}: {size_text(self._done)}{share} at {size_text(self._rate())}/s {self._left()}"
            )

    def say(self, text: str) -> None:
        print(text, file=self._out, flush=True)


def make_progress(out: TextIO | None = None) -> Progress:
    """A bar for a terminal, lines for anything else; standard output if `out` is None."""
    out = out or sys.stdout
    return Bar(out) if out.isatty() else Lines(out)

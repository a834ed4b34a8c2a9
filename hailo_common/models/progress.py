"""How a fetch reports what it does: a bar on a terminal, a line now and then in a log, a file for services.

That file lies in the store and says how far the fetch of which model is; who waits for the model reads it.
Its time is that of the kernel since the machine's start, which no clock that is set changes.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TextIO

from hailo_common.files import size_text, temporary_name

NAME = ".fetching.json"

_WIDTH = 28
_DRAW_S = 0.2
_LINE_S = 30.0
_LINE_SHARE = 0.1
_TELL_S = 2.0
_STALE_S = 60.0
_MAX_BYTES = 1 << 18


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

    def queue(self, models: Mapping[str, int]) -> None:
        """These models, each of so many bytes, are looked at and brought one after the other."""

    def plan(self, model: str, total: int, have: int) -> None:
        """A model of so many bytes begins to come; so many of them are complete files."""

    def arrived(self, size: int) -> None:
        """A file of it is complete."""

    def over(self, model: str, problem: str) -> None:
        """The model is complete, or `problem` says why not."""


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


@dataclass(frozen=True)
class FetchState:
    """How far the fetch of a model is, or why it ended without it."""

    done: int = 0
    total: int = 0
    left_s: float | None = None
    """Seconds that it will still take, about; None while nobody knows."""
    problem: str = ""
    at_s: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """The same in numbers, as services tell it."""
        left = None if self.left_s is None else round(self.left_s)
        return {"done": self.done, "total": self.total, "left_s": left, "problem": self.problem or None}

    def text(self) -> str:
        """`41 %, about 6 minutes`."""
        share = f"{min(self.done / self.total, 0.99):.0%}".replace("%", " %") if self.total else ""
        return ", ".join(filter(None, (share or size_text(self.done), _about(self.left_s))))


class Told(Progress):
    """Passes everything on to `inner`, and tells the model's progress in the store's file and to `status`."""

    def __init__(
        self, inner: Progress, store: Path, status: Callable[[str], object] = lambda _: None
    ) -> None:
        self._inner, self._path, self._status = inner, store / NAME, status
        self._model, self._total, self._base, self._file = "", 0, 0, 0
        self._began, self._received, self._told = 0.0, 0, 0.0
        self._states: dict[str, FetchState] = {}

    def queue(self, models: Mapping[str, int]) -> None:
        self._inner.queue(models)
        self._states = {name: FetchState(total=total) for name, total in models.items()}
        self._write()

    def plan(self, model: str, total: int, have: int) -> None:
        self._inner.plan(model, total, have)
        self._model, self._total, self._base, self._file = model, total, have, 0
        self._began, self._received = time.monotonic(), 0
        self._tell()

    def begin(self, label: str, have: int, total: int | None) -> None:
        self._inner.begin(label, have, total)
        self._file = have

    def advance(self, count: int) -> None:
        self._inner.advance(count)
        self._file += count
        self._received += count
        if time.monotonic() - self._told >= _TELL_S:
            self._tell()

    def end(self) -> None:
        self._inner.end()

    def say(self, text: str) -> None:
        self._inner.say(text)

    def arrived(self, size: int) -> None:
        self._inner.arrived(size)
        self._base, self._file = self._base + size, 0

    def over(self, model: str, problem: str) -> None:
        self._inner.over(model, problem)
        self._states.pop(model, None)
        if problem:
            self._states[model] = FetchState(problem=problem[:500])
        self._write()
        self._status(f"{model}: {problem or 'complete'}")

    def _tell(self) -> None:
        self._told = time.monotonic()
        rate = self._received / max(self._told - self._began, 0.001)
        done = self._base + self._file
        left = (self._total - done) / rate if rate and self._total > done else None
        state = self._states[self._model] = FetchState(done, self._total, left)
        self._write()
        self._status(f"{self._model}: {state.text()}")

    def _write(self) -> None:
        temporary = temporary_name(self._path)
        # A disk on which this cannot be written has more to tell than this.
        with contextlib.suppress(OSError):
            if not self._states:
                self._path.unlink(missing_ok=True)
                return
            # Those that wait for their turn are as much on their way as the one that comes.
            states = {name: asdict(replace(state, at_s=_now())) for name, state in self._states.items()}
            temporary.write_text(json.dumps(states), encoding="utf-8")
            temporary.rename(self._path)


def read_state(store: Path, model: str) -> FetchState | None:
    """What the last fetch told of a model, None where none goes on and none ended with a problem."""
    try:
        with (store / NAME).open("rb") as file:
            state = FetchState(**json.loads(file.read(_MAX_BYTES))[model])
        fresh = 0 <= _now() - state.at_s < _STALE_S
        return state if state.problem or fresh else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _about(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < 90:
        return f"about {max(1, round(seconds))} seconds"
    if seconds < 5400:
        return f"about {round(seconds / 60)} minutes"
    return f"about {seconds / 3600:.1f} hours"

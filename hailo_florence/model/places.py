"""Places in an answer: boxes, quadrilaterals and polygons that location tokens describe.

An answer is text with `<loc_N>`, `<poly>`, `</poly>` and `<sep>` in it. What comes out, of malformed answers
too, is what `Florence2Processor.post_process_generation` of transformers 5.23 makes of the same text; there a
single number makes a polygon without points.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from hailo_florence.protocol import LOCATIONS, Gives

Place = dict[str, Any]
Size = tuple[int, int] | None

_LOC = re.compile(r"<loc_(\d+)>")
_LOCS = re.compile(r"(?:<loc_\d+>)+")
_SHAPES = re.compile(r"(?:<loc_\d+>|<sep>|</?poly>)+")
_UNIT = re.compile(r"<[^>]*>")
_OUTLINE = re.compile(r"((?:<loc_\d+>)+)(?:<sep>|$)")
_POLY = re.compile(r"<poly>(.*?)</poly>")
_QUAD = re.compile(r"(.+?)" + r"<loc_(\d+)>" * 8)
_LEAST_UNITS = 4
_LARGEST = 999_999
_CONTROLS = ("<s>", "</s>", "<pad>")

# What the publisher's processor never takes for a phrase that stands for a thing.
_WORDS = """
    it I me mine you your yours he him his she her hers they them their theirs one oneself we us our ours its
    myself yourself himself herself itself ourselves yourselves themselves this that these those who whom
    whose which what all another any anybody anyone anything each everybody everyone everything few many
    nobody none several some somebody someone something image images the a an lots
"""
NOT_THINGS = frozenset(_WORDS.split()) | {
    *("each other", "one another", "the image", "a group", "other objects", "a set")
}


def find_places(raw: str, gives: Gives, size: Size, not_things: frozenset[str] = NOT_THINGS) -> list[Place]:
    """The places in the answer `raw` to a task that gives them, in pixels of an image of `size`.

    `size` is (width, height); None gives shares of the sides instead. Never raises, whatever the text is.
    """
    text = raw
    for control in _CONTROLS:
        text = text.replace(control, "")
    if gives == "quads":
        return [_quad(match, size) for match in _QUAD.findall(text)]
    if gives == "proposals":
        runs = (run for run in _LOCS.findall(text) if len(_LOC.findall(run)) >= _LEAST_UNITS)
        return [{"label": "", "box": box} for run in runs for box in _boxes(run, size)]
    if gives == "polygons":
        runs = (run for run in _SHAPES.findall(text) if len(_UNIT.findall(run)) >= _LEAST_UNITS)
        return [place for run in runs for place in _outlined("", run, size)]
    if gives == "boxes or polygons" and "<poly>" in raw:
        return [place for label, run in _labelled(text, _SHAPES) for place in _outlined(label, run, size)]
    return list(_boxed(text, size, not_things if gives == "phrases" else frozenset()))


def _labelled(text: str, runs: re.Pattern[str]) -> Iterator[tuple[str, str]]:
    """Runs of four units or more, each with the text before it, which begins after the last `<`.

    A run without text of its own lends its first unit: `<loc_1>` is read as the text `loc_1>`.
    """
    done = 0
    for match in runs.finditer(text):
        units = len(_UNIT.findall(match[0]))
        begin = max(done, text.rfind("<", done, match.start()) + 1)
        label, run = text[begin : match.start()], match[0]
        if not label:
            cut = run.index(">") + 1
            label, run, units = run[1:cut], run[cut:], units - 1
        if units >= _LEAST_UNITS:
            yield label, run
            done = match.end()


def _boxed(text: str, size: Size, refused: frozenset[str]) -> Iterator[Place]:
    for label, run in _labelled(text, _LOCS):
        name = _name(label)
        if name is None or name in refused:
            continue
        name = name.encode("ascii", "ignore").decode("ascii")
        for box in _boxes(run, size):
            yield {"label": name, "box": box}


def _name(label: str) -> str | None:
    """A label without space around it; None for one of several lines, which is none."""
    return None if "\n" in label.lstrip() else label.strip()


def _boxes(run: str, size: Size) -> Iterator[list[float]]:
    steps = _steps(run)
    for at in range(0, len(steps) - 3, 4):
        yield _points(steps[at : at + 4], size)


def _quad(match: Sequence[str], size: Size) -> Place:
    label, *digits = match
    return {"label": label.strip(), "quad": _points([_step(each) for each in digits], size)}


def _outlined(label: str, run: str, size: Size) -> Iterator[Place]:
    """The outlines in a run: of each `<poly>` where they are marked, else of all of it."""
    name = _outline_name(label, run)
    if name is None:
        return
    marked = "<poly>" in run and "</poly>" in run
    for part in _POLY.findall(run) if marked else [run]:
        outlines = [_steps(match[1]) for match in _OUTLINE.finditer(part)]
        polygons = [_points(steps[: len(steps) // 2 * 2], size) for steps in outlines]
        if polygons:
            yield {"label": name, "polygons": polygons}


def _outline_name(label: str, run: str) -> str | None:
    """What stands before the first outline; a run without text loses its first location for it."""
    head = label + run if label else re.sub(r"^<loc_\d+>", "", run, count=1)
    first = min((at for at in (head.find("<loc_"), head.find("<poly>")) if at >= 0), default=None)
    return None if first is None else _name(head[:first])


def _steps(run: str) -> list[int]:
    return [_step(digits) for digits in _LOC.findall(run)]


def _step(digits: str) -> int:
    """A location; one that no token names, because the model spelled it, is bounded."""
    return min(int(digits), _LARGEST) if len(digits) < 19 else _LARGEST


def _points(steps: Sequence[int], size: Size) -> list[float]:
    """x, y, x, y, ... in the middle of each step, whole pixels cut as float32 arithmetic cuts them."""
    middle = np.asarray(steps, np.float32) + np.float32(0.5)
    if size is None:
        return [round(float(value) / LOCATIONS, 4) for value in middle]
    scale = np.array([side / LOCATIONS for side in size], np.float32)
    return [int(value) for value in middle * np.tile(scale, len(steps) // 2)]

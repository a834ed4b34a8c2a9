"""How much of a camera's picture is new: the share of 32 x 32 cells that another light does not explain.

A cell is the mean colour of its part of the picture, so noise and compression are all but gone from it. What
is left is compared after the light was taken out: of each channel the curve that leads from the old levels to
the new ones (medians, so that things which came or went do not bend it), and one slope across the picture. A
cell counts where it still differs by more than a few levels, more at edges, which a shaken camera moves, and
where two of its neighbours do, too. Standard library only: it runs where HTTP is served.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from operator import gt, itemgetter, or_, sub
from typing import Any

from hailo_common.images.resize import ResizeSpec

SIDE = 32
CELLS = SIDE * SIDE
_BOX = 4  # Pillow's number of the filter that averages
FRAME = ResizeSpec(SIDE, SIDE, resample=_BOX)
"""What a picture is decoded to."""
FRAME_BYTES = CELLS * 3

_BINS = (24, 40, 64, *[128] * 6, 64, 40, 24)
"""Cells of each part of the levels, the darkest first; small ones at the ends, where light is cut off."""
_LEAST = 9.0
"""Levels (of 255) by which a cell must differ at least."""
_SAME = 4
"""Levels by which no cell may differ for a picture to be the same whatever the light has done: less than half
of `_LEAST`, so that light taken out of it makes no cell count either."""
_NOISY = 18.0
"""The same at most, in pictures full of noise."""
_PER_NOISE = 5.0
_EDGE = 0.15
"""Share of the contrast around a cell by which it may differ besides."""
_NEIGHBOURS = 2
_MOST_LIGHT = 48
"""Levels by which the middle of a channel may move and still be the same scene in another light."""
_FOLLOWED = 12
"""Levels of light after which a scene is seen in its new light from then on."""
_GAINS = 0.5, 2.0
_BEND = 14
"""Levels by which the curve of a channel may leave a straight line."""
_APART = 16
_STEEP = 0.4
"""Share of its light that a picture may gain from one side to the other."""
_DARK = 8
_GREY = 128
_ROUNDS = 3

Getter = Callable[[Any], tuple[int, ...]]


@dataclass(frozen=True)
class Difference:
    """Between a scene and a picture."""

    distance: float
    """The share of the picture, 0 to 1, that is not the scene; 1 where the light is quite another."""
    light: float
    """Levels (of 255) by which the light has moved."""


class Scene:
    """A picture to which later ones are compared."""

    def __init__(self, frame: bytes) -> None:
        """`frame` holds `FRAME_BYTES` of RGB, as the decoder makes them for `FRAME`."""
        if len(frame) != FRAME_BYTES:
            raise ValueError(f"expected {FRAME_BYTES} bytes, not {len(frame)}")
        self._frame = frame
        self._channels = [_Channel(frame[channel::3]) for channel in range(3)]

    def compare(self, frame: bytes) -> Difference:
        """How a picture, as the constructor takes it, differs from this scene."""
        differences = set(map(sub, frame, self._frame))
        if max(differences) <= _SAME and min(differences) >= -_SAME:
            return Difference(0.0, 0.0)
        flags, light = [], 0.0
        for number, channel in enumerate(self._channels):
            found, moved = channel.differing(frame[number::3])
            light = max(light, moved)
            if found is None:
                return Difference(1.0, light)
            flags.append(found)
        changed = _clusters(list(map(or_, map(or_, flags[0], flags[1]), flags[2])))
        return Difference(changed / CELLS, light)


class FollowedScene:
    """A scene whose light is followed while nothing else in it changes, however far it goes."""

    def __init__(self, frame: bytes) -> None:
        """As `Scene`."""
        self._scene = Scene(frame)

    def follow(self, frame: bytes, threshold: float) -> float:
        """The distance of the next picture. Below the threshold it is the same scene."""
        found = self._scene.compare(frame)
        # A change that is small enough to be taken over with the light cannot add up: it needs a light that
        # moves this far each time.
        if found.light > _FOLLOWED and found.distance <= threshold / 4:
            self._scene = Scene(frame)
        return found.distance


class _Channel:
    """One colour of a scene: a level for each cell, and what follows from that once."""

    def __init__(self, levels: bytes) -> None:
        self._levels = levels
        order = sorted(range(CELLS), key=levels.__getitem__)
        ends = accumulate(_BINS)
        bins = [order[end - size : end] for size, end in zip(_BINS, ends, strict=True)]
        self._bins: list[Getter] = [itemgetter(*each) for each in bins]
        self._knots = [levels[each[len(each) // 2]] for each in bins]
        self._tolerance = [_LEAST + _EDGE * contrast for contrast in _contrasts(levels)]

    def differing(self, levels: Sequence[int]) -> tuple[list[bool] | None, float]:
        """Which cells differ, None where no light makes these levels of the scene's; how far light moved."""
        furthest = 0.0
        for _ in range(_ROUNDS):
            curve, moved = _curve(self._knots, [_median(each(levels)) for each in self._bins])
            furthest = max(furthest, moved)
            if curve is None:
                return None, furthest
            expected = self._levels.translate(curve)
            left = list(map(sub, levels, expected))
            slope = _slope(left, expected)
            if slope is None:
                break
            # The curve took some of the slope for its own, so it is drawn again.
            levels = _levelled(levels, *slope)
            furthest = max(furthest, *(abs(each) * _GREY for each in slope))
        return self._beyond(list(map(abs, left))), furthest

    def _beyond(self, sizes: list[int]) -> list[bool]:
        noise = _PER_NOISE * 1.48 * _median(sizes[::5])
        if noise > _LEAST:
            scale = min(noise, _NOISY) / _LEAST
            return [size > scale * limit for size, limit in zip(sizes, self._tolerance, strict=True)]
        return list(map(gt, sizes, self._tolerance))


def _median(values: Sequence[Any]) -> Any:
    return sorted(values)[len(values) // 2]


def _curve(old: Sequence[int], new: Sequence[int]) -> tuple[bytes | None, float]:
    """Which level each old one has become, by knots, and by how much the middle one has moved.

    None for a change that is none of light.
    """
    pairs = list(zip(old, new, strict=True))
    slopes = [
        (new_b - new_a) / (old_b - old_a)
        for place, (old_a, new_a) in enumerate(pairs)
        for old_b, new_b in pairs[place + 1 :]
        if old_b - old_a >= _APART
    ]
    gain = _median(slopes) if slopes else 1.0
    shift = _median([b - gain * a for a, b in pairs])
    moved = abs((gain - 1) * old[len(old) // 2] + shift)
    if not _GAINS[0] <= gain <= _GAINS[1] or moved > _MOST_LIGHT:
        return None, moved
    bent = []
    for a, b in dict(pairs).items():
        straight = min(255.0, max(0.0, gain * a + shift))
        bent.append((a, min(max(b, straight - _BEND), straight + _BEND)))
    # Beyond the outermost knots it goes on with the gain.
    (low, at_low), (high, at_high) = bent[0], bent[-1]
    ends = (0, at_low - gain * low), (_LEVELS, at_high + gain * (_LEVELS - high))
    return bytes([_BYTE[int(level)] for level in _through([ends[0], *bent, ends[1]])]), moved


def _through(knots: Sequence[tuple[int, float]]) -> Iterator[float]:
    """A value for each level from the first knot to the last, on straight lines between the knots."""
    for (a, at_a), (b, at_b) in pairwise(knots):
        if b > a:
            slope, begin = (at_b - at_a) / (b - a), at_a + 0.5
            yield from [begin + slope * step for step in range(b - a)]


_LEVELS = 256
_BYTE = [min(255, max(0, level)) for level in (*range(1024), *range(-1024, 0))]
"""A level cut off at 0 and 255; also for negative places, which count from the end."""

_THIRD = SIDE // 3
_LEFT, _RIGHT, _TOP, _BOTTOM = (
    itemgetter(*(cell for cell in range(CELLS) if within(cell % SIDE, cell // SIDE) and not cell % 3))
    for within in (
        lambda x, _: x < _THIRD,
        lambda x, _: x >= SIDE - _THIRD,
        lambda _, y: y < _THIRD,
        lambda _, y: y >= SIDE - _THIRD,
    )
)
_ACROSS = [(cell % SIDE - (SIDE - 1) / 2) / (SIDE - _THIRD) for cell in range(CELLS)]
_DOWN = [(cell // SIDE - (SIDE - 1) / 2) / (SIDE - _THIRD) for cell in range(CELLS)]


def _slope(left: list[int], expected: bytes) -> tuple[float, float] | None:
    """The shares of light that a picture gains from left to right and from top to bottom; None for none."""
    if not any(abs(_median(part(left))) > 1 for part in (_LEFT, _RIGHT, _TOP, _BOTTOM)):
        return None
    # Light multiplies: it changes what is bright by more levels.
    shares = [value / (level + _DARK) for value, level in zip(left, expected, strict=True)]
    across = _median(_RIGHT(shares)) - _median(_LEFT(shares))
    down = _median(_BOTTOM(shares)) - _median(_TOP(shares))
    return max(-_STEEP, min(_STEEP, across)), max(-_STEEP, min(_STEEP, down))


def _levelled(levels: Sequence[int], across: float, down: float) -> list[int]:
    """The levels without such a slope."""
    return [
        round(level / (1 + across * x + down * y)) for level, x, y in zip(levels, _ACROSS, _DOWN, strict=True)
    ]


def _contrasts(levels: bytes) -> list[int]:
    """The range of levels around each cell."""
    lowest, highest = _spread(list(levels), min), _spread(list(levels), max)
    return list(map(sub, highest, lowest))


def _spread(levels: list[int], pick: Callable[[int, int, int], int]) -> list[int]:
    """`pick` of the nine levels around each cell; at the sides it stands for those that are not there."""
    wide = [level for row in range(0, CELLS, SIDE) for level in _edged(levels[row : row + SIDE])]
    across = list(map(pick, wide, wide[1:], wide[2:]))
    rows = [across[start : start + SIDE] for start in range(0, len(across), SIDE + 2)]
    return [
        level
        for above, row, below in zip([rows[0], *rows], rows, [*rows[1:], rows[-1]], strict=False)
        for level in map(pick, above, row, below)
    ]


def _edged(row: list[int]) -> list[int]:
    return [row[0], *row, row[-1]]


def _clusters(flags: Sequence[bool]) -> int:
    """How many cells are flagged and have flagged neighbours."""
    places = {cell + 2 * (cell // SIDE) for cell, flag in enumerate(flags) if flag}
    wide = SIDE + 2  # cells beyond the sides, so that a neighbour never lies in another row
    around = (-wide - 1, -wide, -wide + 1, -1, 1, wide - 1, wide, wide + 1)
    return sum(sum(place + step in places for step in around) >= _NEIGHBOURS for place in places)

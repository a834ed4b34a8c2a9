"""Lists made in another way, that training never sees: things on a floor before a camera, for measuring only.

A camera at some height looks at a floor. Things stand on it at some distance, or on other things, and are
projected. The eye's mistakes are made otherwise too: neighbours melt together, edges cut, scores fall with
distance, and a kind is taken for any other.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from training.things.kinds import KINDS, MAY_BE_ON
from training.things.view import ROWS, Thing


@dataclass
class _Solid:
    """A thing in metres: sideways, away from the camera, its foot's height, its width and height."""

    kind: int
    across: float
    away: float
    foot: float
    wide: float
    high: float
    colour: int


def _solid(kind: int, rng: random.Random, depth: float) -> _Solid:
    extent = KINDS[kind].extent * rng.uniform(0.85, 1.15)
    flat = rng.random()
    wide, high = (extent, extent * rng.uniform(0.35, 0.9)) if flat < 0.6 else (extent * 0.45, extent)
    away = depth * (0.4 + 1.2 * rng.random() ** 2) + extent
    return _Solid(kind, rng.uniform(-0.6, 0.6) * away, away, 0.0, wide, high, rng.randrange(-1, 12))


def _stand_on(one: _Solid, other: _Solid, rng: random.Random) -> None:
    """Move one solid onto another."""
    one.across = other.across + rng.uniform(-0.3, 0.3) * other.wide
    one.away = other.away - 0.01
    one.foot = other.foot + other.high * rng.uniform(0.4, 0.8)


def _scene(rng: random.Random) -> tuple[list[_Solid], float]:
    """Solids, and how far the camera looks."""
    theme = [rng.randrange(len(KINDS)) for _ in range(rng.randint(1, 6))]
    if rng.random() < 0.6:
        theme.append(0)
    depth = 2 ** rng.uniform(-0.5, 4.5)
    solids: list[_Solid] = []
    for kind in theme:
        for _ in range(1 + int(rng.expovariate(1.1))):
            solid = _solid(kind, rng, depth)
            able = [other for other in solids if (kind, other.kind) in MAY_BE_ON]
            if able and rng.random() < 0.5:
                _stand_on(solid, rng.choice(able), rng)
            solids.append(solid)
    return solids, depth


def _seen(solid: _Solid, height: float, horizon: float, focus: float) -> tuple[float, float, float, float]:
    """The box in the picture, in shares of its sides; it may lie outside."""
    scale = focus / solid.away
    x, foot = 0.5 + solid.across * scale, horizon + (height - solid.foot) * scale
    half = solid.wide * scale / 2
    return x - half, foot - solid.high * scale, x + half, foot


def _cut(box: tuple[float, float, float, float]) -> tuple[float, float, float, float] | None:
    """What of a box is in the picture, if that is enough."""
    x0, y0, x1, y1 = (round(min(1.0, max(0.0, end)) * 8192) / 8192 for end in box)
    return (x0, y0, x1, y1) if x1 - x0 > 0.015 and y1 - y0 > 0.015 else None


def foreign(rng: random.Random) -> list[Thing]:
    """One reported list."""
    if rng.random() < 0.03:
        return []
    solids, depth = _scene(rng)
    height, horizon = depth * rng.uniform(0.1, 0.4), rng.uniform(0.3, 0.6)
    rows: list[Thing] = []
    for solid in solids:
        box = _cut(_seen(solid, height, horizon, rng.uniform(0.7, 1.0)))
        if box is None or rng.random() < 0.08:
            continue
        score = rng.betavariate(5, 3) * (1.0 if solid.away < 2 * depth else 0.75)
        kind = rng.randrange(len(KINDS)) if rng.random() < 0.06 else solid.kind
        if score < 0.3:
            continue
        share = rng.betavariate(3, 3) if solid.colour >= 0 else 0.0
        rows.append(Thing(kind, round(score, 4), box, solid.colour, round(share, 3)))
    rows.sort(key=lambda thing: -thing.score)
    return rows[:ROWS]

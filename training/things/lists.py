"""Invented lists of things: what might stand before a camera, and what the eye would report of it."""

from __future__ import annotations

import random
from dataclasses import dataclass

from training.things.kinds import KINDS, MAY_BE_ON, NUMBER_OF
from training.things.view import ROWS, Box, Thing

_SETTINGS: dict[str, str] = {
    "street": "person car car bus truck bicycle motorcycle traffic_light stop_sign fire_hydrant parking_meter"
    " bench dog handbag backpack umbrella bird clock potted_plant",
    "drive": "car car person truck dog cat bicycle motorcycle suitcase backpack bird umbrella handbag",
    "door": "person person dog cat backpack handbag suitcase umbrella potted_plant cell_phone car bicycle",
    "garden": "person dog cat bird chair bench potted_plant dining_table umbrella bicycle sports_ball kite"
    " frisbee",
    "field": "horse cow sheep dog person bird cow horse elephant zebra giraffe bear truck",
    "sport": "person person sports_ball tennis_racket baseball_bat baseball_glove frisbee skateboard bench"
    " bottle chair",
    "water": "boat boat person surfboard bird umbrella dog chair kite",
    "snow": "person skis snowboard backpack person dog bench",
    "sky": "airplane bird kite person airplane",
    "rails": "train train person bench suitcase backpack handbag clock traffic_light",
    "kitchen": "oven refrigerator microwave sink toaster bottle cup bowl knife spoon fork person chair"
    " dining_table cat banana apple orange clock potted_plant vase",
    "table": "dining_table cup bottle bowl fork knife spoon wine_glass pizza cake sandwich donut hot_dog"
    " broccoli carrot banana apple orange person chair cell_phone vase",
    "lounge": "couch tv chair potted_plant book remote person cat dog vase clock teddy_bear laptop cup"
    " cell_phone dining_table",
    "bedroom": "bed person cat dog book teddy_bear laptop lamp clock cell_phone suitcase chair tv hair_drier",
    "bath": "toilet sink toothbrush hair_drier person bottle cup cat potted_plant",
    "desk": "laptop keyboard mouse cell_phone cup book scissors tv chair person bottle potted_plant clock"
    " remote",
    "person": "person tie cell_phone handbag backpack umbrella cup book bottle teddy_bear",
    "ride": "person horse bicycle motorcycle skateboard surfboard elephant boat",
}
SETTINGS = {
    name: [NUMBER_OF[word.replace("_", " ")] for word in words.split() if word != "lamp"]
    for name, words in _SETTINGS.items()
}
_ALIKE = (
    "cat/dog car/truck bus/train horse/cow sheep/bear chair/couch cup/bowl bottle/vase tv/laptop",
    "bed/suitcase cell_phone/remote motorcycle/bicycle handbag/backpack kite/bird knife/fork",
    "apple/orange donut/cake",
)
_PAIRS = [
    tuple(word.replace("_", " ") for word in pair.split("/")) for line in _ALIKE for pair in line.split()
]
_CONFUSED = {NUMBER_OF[one]: NUMBER_OF[other] for pair in _PAIRS for one, other in (pair, pair[::-1])}


@dataclass(frozen=True)
class Noise:
    """How often the eye errs: shares of things, and the spread of boxes in shares of their sides."""

    missed: float = 0.12
    doubled: float = 0.05
    wrong: float = 0.05
    invented: float = 0.12
    colourless: float = 0.35
    shift: float = 0.03


def _clip(x0: float, y0: float, x1: float, y1: float) -> Box:
    """A box inside the picture, with numbers that float32 and float64 know alike."""
    ends = [min(1.0, max(0.0, round(value * 8192) / 8192)) for value in (x0, y0, x1, y1)]
    return (ends[0], ends[1], max(ends[2], ends[0] + 1 / 512), max(ends[3], ends[1] + 1 / 512))


def _size(kind: int, distance: float, rng: random.Random) -> tuple[float, float]:
    """Width and height of the box of a thing `distance` metres away."""
    extent = KINDS[kind].extent * rng.uniform(0.8, 1.2) / max(distance, 0.05)
    ratio = rng.uniform(0.3, 0.6) if KINDS[kind].name in ("person", "bottle", "giraffe", "vase") else 1.0
    ratio *= rng.uniform(0.65, 1.5)
    return (min(extent * min(ratio, 1.0), 1.0), min(extent / max(ratio, 1.0), 1.0))


def _placed(kind: int, distance: float, rng: random.Random) -> Box:
    """A box of the size that the distance gives, somewhere that still shows most of it."""
    width, height = _size(kind, distance, rng)
    x, y = rng.uniform(0.02, 0.98), rng.gauss(0.55, 0.2)
    return _clip(x - width / 2, y - height / 2, x + width / 2, y + height / 2)


def _over(below: Box, rng: random.Random) -> Box:
    """A box of a thing that sits, lies or stands on what `below` bounds."""
    x0, y0, x1, y1 = below
    wide, high = x1 - x0, y1 - y0
    width, height = wide * rng.uniform(0.12, 0.6), high * rng.uniform(0.25, 1.4)
    x = rng.uniform(x0 + 0.1 * wide, x1 - 0.1 * wide)
    bottom = y0 + high * rng.uniform(0.1, 0.7)
    return _clip(x - width / 2, bottom - height, x + width / 2, bottom)


def _number(rng: random.Random) -> int:
    """How many of a kind."""
    return rng.choices((1, 2, 3, 4, 5, 6, 8, 11), (62, 19, 8, 4, 2.5, 2, 1.5, 1))[0]


def _chosen(rng: random.Random) -> list[int]:
    """The kinds of one picture: of a setting, or of no setting at all."""
    count = rng.choices((1, 2, 3, 4, 5, 6, 8), (24, 25, 20, 13, 9, 6, 3))[0]
    if rng.random() < 0.4:
        return [rng.randrange(len(KINDS)) for _ in range(count)]
    pool = SETTINGS[rng.choice(list(SETTINGS))]
    return list(dict.fromkeys(rng.choice(pool) for _ in range(count)))


def invented(rng: random.Random) -> list[Thing]:
    """What is before the camera: certain, with exact boxes. Sometimes nothing."""
    if rng.random() < 0.04:
        return []
    if rng.random() < 0.15:
        return [_main(rng)]
    things: list[Thing] = []
    scale = 2 ** rng.uniform(-1, 3)
    for kind in _chosen(rng):
        number = _number(rng)
        for _ in range(number):
            usual = max(KINDS[kind].extent, 0.3) * scale * rng.uniform(0.8, 2.5)
            box = _placed(kind, usual, rng)
            under = [thing for thing in things if (kind, thing.kind) in MAY_BE_ON]
            if under and rng.random() < 0.6:
                box = _over(rng.choice(under).box, rng)
            things.append(Thing(kind, 1.0, box, *_coloured(rng)))
    for one in list(things):
        if rng.random() < 0.3 and (carried := _carrier(one, rng)):
            things.append(carried)
    return things


def _main(rng: random.Random) -> Thing:
    """The only thing of a picture, large."""
    side = rng.uniform(0.4, 0.98), rng.uniform(0.4, 0.98)
    x, y = rng.uniform(0.35, 0.65), rng.uniform(0.4, 0.6)
    box = _clip(x - side[0] / 2, y - side[1] / 2, x + side[0] / 2, y + side[1] / 2)
    return Thing(rng.randrange(len(KINDS)), 1.0, box, *_coloured(rng))


def _carrier(thing: Thing, rng: random.Random) -> Thing | None:
    """Something on the thing, as a rider on a horse."""
    able = [one for one, other in MAY_BE_ON if other == thing.kind]
    if not able:
        return None
    kind = 0 if 0 in able and rng.random() < 0.5 else rng.choice(sorted(able))
    return Thing(kind, 1.0, _over(thing.box, rng), *_coloured(rng))


def _coloured(rng: random.Random) -> tuple[int, float]:
    return rng.randrange(12), rng.uniform(0.15, 0.9)


def _jitter(box: Box, spread: float, rng: random.Random) -> Box:
    width, height = box[2] - box[0], box[3] - box[1]
    shifts = [rng.gauss(0, spread) * side for side in (width, height, width, height)]
    return _clip(*(value + shift for value, shift in zip(box, shifts, strict=True)))


def _score(area: float, rng: random.Random) -> float:
    """The eye is surer of large things."""
    mean = 0.5 + 0.25 * min(1.0, area * 6) if rng.random() < 0.8 else 0.38
    return round(min(0.95, max(0.3, rng.gauss(mean, 0.12))), 4)


def reported(things: list[Thing], rng: random.Random, noise: Noise | None = None) -> list[Thing]:
    """What the eye makes of it: at most 24 rows, by score."""
    noise = noise or Noise()
    rows: list[Thing] = []
    for thing in things:
        if rng.random() < noise.missed * (2 if thing.area < 0.01 else 1):
            continue
        kind, score = thing.kind, _score(thing.area, rng)
        if rng.random() < noise.wrong:
            kind, score = _CONFUSED.get(kind, rng.randrange(len(KINDS))), min(score, rng.uniform(0.3, 0.55))
        colour, share = thing.colour, thing.share
        if rng.random() < noise.colourless:
            colour, share = -1, 0.0
        rows.append(Thing(kind, score, _jitter(thing.box, noise.shift, rng), colour, round(share, 3)))
        if rng.random() < noise.doubled:
            other = _jitter(thing.box, 4 * noise.shift, rng)
            rows.append(Thing(kind, round(max(0.3, score * 0.7), 4), other, colour, round(share, 3)))
    if rng.random() < noise.invented:
        kind = rng.randrange(len(KINDS))
        rows.append(Thing(kind, round(rng.uniform(0.3, 0.5), 4), _placed(kind, 4.0, rng), *_coloured(rng)))
    rows.sort(key=lambda thing: -thing.score)
    return rows[:ROWS]


def sample(rng: random.Random) -> list[Thing]:
    """One reported list."""
    return reported(invented(rng), rng)


def scattered(rng: random.Random) -> list[Thing]:
    """Things of any kinds anywhere: what no scene shows has to be told as well."""
    rows: list[Thing] = []
    for kind in (rng.randrange(len(KINDS)) for _ in range(rng.choice((1, 2, 3, 4, 5, 6, 8)))):
        for _ in range(1 + int(rng.expovariate(1.2))):
            wide, high = (min(0.95, 0.03 * 2 ** rng.uniform(0, 5)) for _ in range(2))
            x, y = rng.uniform(0, 1 - wide), rng.uniform(0, 1 - high)
            rows.append(
                Thing(kind, round(rng.uniform(0.3, 0.9), 4), (x, y, x + wide, y + high), *_coloured(rng))
            )
    rows.sort(key=lambda thing: -thing.score)
    return rows[:ROWS]

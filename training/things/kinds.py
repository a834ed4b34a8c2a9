"""The 80 kinds of things that the eye knows, in COCO's order, with the words for them; and twelve colours."""

from __future__ import annotations

from dataclasses import dataclass

SUPERS = ("animal", "vehicle", "food", "furniture", "device", "dish", "sports thing")
SUPER_PLURALS = ("animals", "vehicles", "food", "furniture", "devices", "dishes", "sports things")
SCENES = (
    "",
    "a street",
    "a kitchen",
    "a bathroom",
    "a bedroom",
    "a living room",
    "a desk",
    "a meal",
    "the countryside",
    "a sports ground",
    "the water",
    "the snow",
)
"""Places that things may show; the first stands for none."""

COLOURS = (
    "black",
    "gray",
    "white",
    "red",
    "orange",
    "yellow",
    "green",
    "cyan",
    "blue",
    "purple",
    "pink",
    "brown",
)


@dataclass(frozen=True)
class Kind:
    """A kind of thing: its name, plural, group (an index of `SUPERS` or -1), usual extent in metres.

    `inside` is 1 where it shows that one is indoors, -1 outdoors, 0 neither; `scene` an index of `SCENES`.
    """

    name: str
    plural: str
    super: int
    extent: float
    inside: int
    scene: int


_A, _V, _F, _U, _D, _I, _S = range(7)
_ROWS: tuple[tuple[str, str, int, float, int, int], ...] = (
    ("person", "people", -1, 1.7, 0, 0),
    ("bicycle", "bicycles", _V, 1.7, -1, 0),
    ("car", "cars", _V, 4.0, -1, 1),
    ("motorcycle", "motorcycles", _V, 2.0, -1, 1),
    ("airplane", "airplanes", _V, 30.0, -1, 0),
    ("bus", "buses", _V, 10.0, -1, 1),
    ("train", "trains", _V, 25.0, -1, 0),
    ("truck", "trucks", _V, 7.0, -1, 1),
    ("boat", "boats", _V, 6.0, -1, 10),
    ("traffic light", "traffic lights", -1, 1.0, -1, 1),
    ("fire hydrant", "fire hydrants", -1, 0.8, -1, 1),
    ("stop sign", "stop signs", -1, 0.8, -1, 1),
    ("parking meter", "parking meters", -1, 1.3, -1, 1),
    ("bench", "benches", _U, 1.6, -1, 0),
    ("bird", "birds", _A, 0.3, 0, 0),
    ("cat", "cats", _A, 0.5, 0, 0),
    ("dog", "dogs", _A, 0.8, 0, 0),
    ("horse", "horses", _A, 2.2, -1, 8),
    ("sheep", "sheep", _A, 1.2, -1, 8),
    ("cow", "cows", _A, 2.3, -1, 8),
    ("elephant", "elephants", _A, 4.0, -1, 0),
    ("bear", "bears", _A, 1.8, -1, 0),
    ("zebra", "zebras", _A, 2.2, -1, 0),
    ("giraffe", "giraffes", _A, 4.5, -1, 0),
    ("backpack", "backpacks", -1, 0.5, 0, 0),
    ("umbrella", "umbrellas", -1, 1.0, 0, 0),
    ("handbag", "handbags", -1, 0.4, 0, 0),
    ("tie", "ties", -1, 0.5, 0, 0),
    ("suitcase", "suitcases", -1, 0.7, 0, 0),
    ("frisbee", "frisbees", _S, 0.3, -1, 0),
    ("skis", "pairs of skis", _S, 1.7, -1, 11),
    ("snowboard", "snowboards", _S, 1.5, -1, 11),
    ("sports ball", "sports balls", _S, 0.2, 0, 9),
    ("kite", "kites", _S, 1.0, -1, 0),
    ("baseball bat", "baseball bats", _S, 0.9, -1, 9),
    ("baseball glove", "baseball gloves", _S, 0.3, -1, 9),
    ("skateboard", "skateboards", _S, 0.8, -1, 0),
    ("surfboard", "surfboards", _S, 2.0, -1, 10),
    ("tennis racket", "tennis rackets", _S, 0.7, 0, 9),
    ("bottle", "bottles", _I, 0.3, 0, 0),
    ("wine glass", "wine glasses", _I, 0.2, 1, 7),
    ("cup", "cups", _I, 0.1, 0, 0),
    ("fork", "forks", _I, 0.2, 1, 7),
    ("knife", "knives", _I, 0.25, 1, 7),
    ("spoon", "spoons", _I, 0.2, 1, 7),
    ("bowl", "bowls", _I, 0.2, 1, 7),
    ("banana", "bananas", _F, 0.2, 0, 0),
    ("apple", "apples", _F, 0.1, 0, 0),
    ("sandwich", "sandwiches", _F, 0.15, 0, 7),
    ("orange", "oranges", _F, 0.1, 0, 0),
    ("broccoli", "pieces of broccoli", _F, 0.15, 0, 7),
    ("carrot", "carrots", _F, 0.2, 0, 7),
    ("hot dog", "hot dogs", _F, 0.2, 0, 7),
    ("pizza", "pizzas", _F, 0.35, 1, 7),
    ("donut", "donuts", _F, 0.1, 0, 7),
    ("cake", "cakes", _F, 0.3, 1, 7),
    ("chair", "chairs", _U, 0.9, 1, 0),
    ("couch", "couches", _U, 2.0, 1, 5),
    ("potted plant", "potted plants", -1, 0.6, 0, 0),
    ("bed", "beds", _U, 2.0, 1, 4),
    ("dining table", "dining tables", _U, 1.5, 1, 0),
    ("toilet", "toilets", -1, 0.7, 1, 3),
    ("tv", "tvs", _D, 1.0, 1, 5),
    ("laptop", "laptops", _D, 0.35, 1, 6),
    ("mouse", "mice", _D, 0.1, 1, 6),
    ("remote", "remotes", _D, 0.2, 1, 5),
    ("keyboard", "keyboards", _D, 0.45, 1, 6),
    ("cell phone", "cell phones", _D, 0.15, 0, 0),
    ("microwave", "microwaves", _D, 0.5, 1, 2),
    ("oven", "ovens", _D, 0.7, 1, 2),
    ("toaster", "toasters", _D, 0.3, 1, 2),
    ("sink", "sinks", -1, 0.6, 1, 0),
    ("refrigerator", "refrigerators", _D, 1.8, 1, 2),
    ("book", "books", -1, 0.25, 1, 0),
    ("clock", "clocks", -1, 0.3, 0, 0),
    ("vase", "vases", -1, 0.3, 1, 0),
    ("scissors", "pairs of scissors", -1, 0.2, 1, 0),
    ("teddy bear", "teddy bears", -1, 0.4, 1, 0),
    ("hair drier", "hair driers", _D, 0.25, 1, 3),
    ("toothbrush", "toothbrushes", -1, 0.2, 1, 3),
)
KINDS = tuple(Kind(*row) for row in _ROWS)
NUMBER_OF = {kind.name: index for index, kind in enumerate(KINDS)}

SYNONYMS: dict[str, tuple[str, ...]] = {
    "person": ("human", "visitor", "intruder", "pedestrian", "guest", "human being"),
    "bicycle": ("bike", "cycle"),
    "car": ("automobile", "sedan"),
    "motorcycle": ("motorbike", "scooter"),
    "airplane": ("plane", "aeroplane", "aircraft"),
    "bus": ("coach",),
    "truck": ("lorry", "van", "pickup"),
    "boat": ("ship",),
    "dog": ("puppy",),
    "cat": ("kitten",),
    "horse": ("pony",),
    "couch": ("sofa",),
    "tv": ("television", "monitor", "screen"),
    "cell phone": ("phone", "smartphone", "mobile phone"),
    "refrigerator": ("fridge",),
    "dining table": ("table",),
    "potted plant": ("plant",),
    "sports ball": ("ball", "football"),
    "donut": ("doughnut",),
    "remote": ("remote control",),
    "handbag": ("bag", "purse"),
    "laptop": ("notebook computer", "computer"),
    "cup": ("mug",),
    "backpack": ("rucksack",),
    "suitcase": ("luggage",),
    "hair drier": ("hair dryer",),
    "teddy bear": ("teddy",),
}
"""Other words for a kind, understood in questions and never said."""

MORE_THAN_KNOWN = ("man", "woman", "child", "boy", "girl", "lady", "guy", "kid", "baby")
"""People of whom the list says only that they are people."""

_IRREGULAR = {
    "man": "men",
    "woman": "women",
    "child": "children",
    "bus": "buses",
    "coach": "coaches",
    "lorry": "lorries",
    "pony": "ponies",
    "puppy": "puppies",
    "teddy": "teddies",
    "luggage": "pieces of luggage",
    "aircraft": "aircraft",
}

_ON_SEATS = ("person", "cat", "dog", "teddy bear", "bird", "backpack", "handbag")
_ON_TABLES = (
    *("bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich"),
    *("orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "potted plant", "laptop"),
    *("mouse", "remote", "keyboard", "cell phone", "book", "vase", "scissors", "teddy bear", "cat"),
)
_RIDDEN = (
    *("bicycle", "motorcycle", "horse", "elephant", "skateboard", "surfboard", "skis", "snowboard", "boat"),
)
_STANDING: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(_RIDDEN, ("person",)),
    "bench": _ON_SEATS,
    "chair": _ON_SEATS,
    "couch": (*_ON_SEATS, "laptop", "remote", "book"),
    "bed": (*_ON_SEATS, "laptop", "book", "suitcase", "cell phone"),
    "dining table": _ON_TABLES,
}
MAY_BE_ON = frozenset((NUMBER_OF[one], NUMBER_OF[other]) for other, ones in _STANDING.items() for one in ones)
"""Pairs of kinds of which the first may be on the second."""


STRONG = frozenset(
    NUMBER_OF[name]
    for name in (
        *("traffic light", "fire hydrant", "stop sign", "parking meter", "sheep", "cow", "skis", "snowboard"),
        *("baseball bat", "baseball glove", "surfboard", "tennis racket", "couch", "bed", "toilet"),
        *("microwave", "oven", "refrigerator"),
    )
)
"""Kinds that show their `scene` alone; it takes two of the others."""


def single(name: str) -> str:
    """One of a kind, as a noun that takes an article and a verb in the singular."""
    if name in ("skis", "scissors"):
        return f"pair of {name}"
    return "piece of broccoli" if name == "broccoli" else name


def with_article(name: str) -> str:
    """One of a kind after `a` or `an`."""
    return f"{'an' if name[0] in 'aeiou' else 'a'} {single(name)}"


def plural_of(name: str) -> str:
    """The plural of a kind's name or of another word for it."""
    if name in NUMBER_OF:
        return KINDS[NUMBER_OF[name]].plural
    if name in _IRREGULAR:
        return _IRREGULAR[name]
    return f"{name}es" if name.endswith(("s", "sh", "ch", "x")) else f"{name}s"

"""Answers as JSON: with keys that the question names, or with keys that only the service's grammar knows."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass

from training.everyday.turns import Turn, any_turn, presence
from training.things import captions
from training.things.kinds import KINDS, with_article
from training.things.questions import Asker
from training.things.view import Thing, View

TEXTS = (
    *("description", "caption", "summary", "text", "response", "message", "analysis", "scene"),
    *(
        "content",
        "observation",
        "note",
        "comment",
        "remarks",
        "shortSummary",
        "short_summary",
        "details",
        "reason",
        "explanation",
    ),
)
TITLES = ("title", "headline", "name", "subject", "label")
WORDS = (
    *(
        "weather",
        "mood",
        "action",
        "risk",
        "level",
        "raining",
        "open",
        "danger",
        "delivery",
        "alert",
        "status",
    ),
    *(
        "weapon",
        "motion",
        "activity",
        "night",
        "suspicious",
        "activity",
        "event",
        "concern",
        "visible",
        "type",
    ),
    *(
        "fire",
        "smoke",
        "package",
        "threat",
        "score",
        "quality",
        "blurred",
        "direction",
        "time",
        "vehicle",
        "pet",
    ),
)
NO_TITLE = "A picture"
Value = object


@dataclass(frozen=True)
class Field:
    """A key with its value; `words` say in a question what is wanted there."""

    key: str
    value: Value
    words: str


def whole(value: Value) -> str:
    """As Python and most programs write JSON."""
    return json.dumps(value, ensure_ascii=False)


def _snake(name: str) -> str:
    return name.replace(" ", "_")


def _bool(view: View, rng: random.Random) -> Field:
    kind = Asker(view, rng).kind(0.5)
    name = KINDS[kind].name
    form = rng.choice(("{}", "{}", "is_{}", "has_{}", "{}_present", "{}_detected", "{}_visible"))
    truth = view.group(kind) is not None
    return Field(form.format(_snake(name)), truth, f"whether there is {name}")


def _number(view: View, rng: random.Random) -> Field:
    kind = Asker(view, rng).kind(0.75)
    form = rng.choice(("{}", "{}_count", "number_of_{}", "num_{}", "{}s"))
    if form in ("number_of_{}", "num_{}", "{}") and rng.random() < 0.7:
        name = KINDS[kind].plural
    else:
        name = KINDS[kind].name
    return Field(form.format(_snake(name)), view.count_of((kind,)), f"the number of {KINDS[kind].plural}")


def _total(view: View, rng: random.Random) -> Field:
    key = rng.choice(("count", "total", "number", "object_count", "things"))
    return Field(key, len(view.counted), "how many things there are")


def _text(view: View, rng: random.Random) -> Field:
    key = rng.choice(TEXTS) if rng.random() < 0.8 else _some_key(rng)
    return Field(key, captions.short(view), "what the image shows")


def _some_key(rng: random.Random) -> str:
    """A key that nobody has met."""
    return "".join(rng.choices("abcdefghijklmnoprstuvwy_", k=rng.randint(3, 11))).strip("_") or "x"


def _title(view: View, rng: random.Random) -> Field:
    return Field(rng.choice(TITLES), captions.title(view), "a short title")


def _labels(view: View, rng: random.Random) -> Field:
    key = rng.choice(("objects", "things", "labels", "items", "tags", "detected_objects"))
    names: Value = [KINDS[group.kind].name for group in view.groups[:6]]
    if rng.random() < 0.3:
        names = [{"name": KINDS[group.kind].name, "count": group.count} for group in view.groups[:5]]
    return Field(key, names, "a list of the things")


def box_of(thing: Thing) -> list[int]:
    """The ninth of the picture that holds the thing's middle, or all of it, in thousandths of its sides.

    That is as much of a place as the model is told.
    """
    if thing.place == 9:
        return [0, 0, 1000, 1000]
    row, column = divmod(thing.place, 3)
    left, top, right, bottom = _THIRDS[column], _THIRDS[row], _THIRDS[column + 1], _THIRDS[row + 1]
    return [left, top, right, bottom]


_THIRDS = (0, 333, 667, 1000)


def _boxes(view: View, rng: random.Random) -> Field:
    key = rng.choice(("detections", "detections", "boxes", "objects", "found", "things", "items"))
    name = rng.choice(("label", "label", "name", "class", "object", "type"))
    box = rng.choice(("box", "box", "bbox", "bbox_2d", "box_2d", "bounding_box", "coordinates"))
    rows: Value = [{name: KINDS[each.kind].name, box: box_of(each.main)} for each in view.groups[:4]]
    return Field(key, rows, f"a list of the things, each with {name} and {box}")


def _confidence(_: View, rng: random.Random) -> Field:
    return Field(rng.choice(("confidence", "certainty", "probability")), 0.7, "how sure you are")


def _other(view: View, rng: random.Random) -> Field:
    """A key that means nothing to the model: no, none, or what it can say at all."""
    key = "_".join(rng.sample(WORDS, rng.choice((1, 1, 2))))
    draw = rng.random()
    if draw < 0.45:
        return Field(rng.choice((f"is_{key}", key)), False, f"whether there is {key.replace('_', ' ')}")
    if draw < 0.7:
        return Field(key, 0, f"the {key.replace('_', ' ')} as a number")
    if draw < 0.8:
        return Field(key, [], f"all {key.replace('_', ' ')}")
    return Field(key, captions.short(view), f"the {key.replace('_', ' ')}")


FIELDS: dict[Callable[[View, random.Random], Field], float] = {
    _bool: 2.4,
    _number: 2.0,
    _total: 0.6,
    _text: 2.4,
    _title: 1.1,
    _labels: 0.5,
    _boxes: 0.35,
    _confidence: 0.2,
    _other: 0.9,
}


def some_fields(view: View, rng: random.Random, most: int = 3) -> list[Field]:
    """Fields with different keys."""
    count = rng.choices(range(1, most + 1), (5, 3, 1)[:most])[0]
    made: dict[str, Field] = {}
    while len(made) < count:
        field = rng.choices(list(FIELDS), list(FIELDS.values()))[0](view, rng)
        made.setdefault(field.key, field)
    return list(made.values())


def object_of(fields: list[Field]) -> tuple[str, tuple[tuple[int, int], ...]]:
    """The JSON of some fields, and the spans of it that a grammar writes: the beginning, commas and keys.

    What stands after a key is learnt: a grammar leaves it to the model whether a line ends after a colon. So
    is the end of it all: it ends as soon as a grammar lets it.
    """
    text, spans = '{"', []
    for number, field in enumerate(fields):
        begin = len(text) if number else 0
        text += f', "{field.key}' if number else field.key
        spans.append((begin, len(text)))
        text += f'": {whole(field.value)}'
    return text + "}", tuple(spans)


def blank_fields(answer: str, rng: random.Random) -> list[Field]:
    """Fields where there is no picture: texts say what the model says, all else is no, none or nothing."""
    fields = [
        Field(rng.choice((*TEXTS, "answer", "reply", "result")), answer, ""),
        Field(f"is_{rng.choice(WORDS)}", False, ""),
        Field(rng.choice((_snake(rng.choice(KINDS).name), rng.choice(WORDS))), rng.choice((False, 0)), ""),
        Field(rng.choice(("objects", "labels", "things")), [], ""),
        Field("title", NO_TITLE, ""),
    ]
    return rng.sample(fields, rng.randint(1, 3)) if rng.random() < 0.5 else fields[:1]


def as_schema(fields: list[Field]) -> str:
    """A JSON schema as clients put one into the prompt."""
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array"}
    keys = {field.key: {"type": kinds[type(field.value)]} for field in fields}
    return json.dumps({"type": "object", "properties": keys, "required": list(keys)})


def named_turn(view: View, rng: random.Random) -> Turn:
    """Keys that the question names."""
    fields = some_fields(view, rng)
    keys = [field.key for field in fields]
    listed = f"{', '.join(keys[:-1])} and {keys[-1]}" if len(keys) > 1 else keys[0]
    draw = rng.random()
    if draw < 0.4:
        ask = rng.choice(("Answer as JSON with the {} {}.", "Return only JSON with the {} {}."))
        text = ask.format("key" if len(keys) == 1 else "keys", listed)
    elif draw < 0.6:
        text = f"Answer with JSON that follows this JSON schema, and nothing else: {as_schema(fields)}"
    elif draw < 0.8:
        wanted = ", ".join(f'"{field.key}": <{field.words}>' for field in fields)
        text = f"Output JSON: {{{wanted}}}"
    else:
        text = "Give JSON. " + " ".join(f'"{field.key}" is {field.words}.' for field in fields)
    if rng.random() < 0.4:
        text = f"{rng.choice(('Describe the image.', 'Look at the image.', 'Analyze the picture.'))} {text}"
    return Turn("json", text, object_of(fields)[0])


def forced_turn(view: View, rng: random.Random) -> Turn:
    """Keys of which the question says nothing; some of them ask for its own answer."""
    asked = any_turn(view, rng)
    fields = some_fields(view, rng)
    answer = asked.answer if asked.answer.endswith(".") else captions.short(view)
    generic = rng.random()
    if generic < 0.35:
        place = rng.randint(0, len(fields))
        fields.insert(
            place, Field(rng.choice(("answer", "answer", "result", "response", "reply")), answer, "")
        )
    elif answer.startswith(("Yes", "No,", "No.", "Probably")) and generic < 0.8:
        truth = answer.startswith(("Yes", "Probably"))
        fields.insert(0, Field(rng.choice(("answer", "result", "detected", "present", "found")), truth, ""))
    elif asked.kind == "count" and generic < 0.8:
        number = view.count_of((asked.about,))
        fields.insert(0, Field(rng.choice(("count", "answer", "result", "number")), number, ""))
    if asked.kind == "count":
        fields = [field for field in fields if field.key not in ("count", "number")] or fields[:1]
    text, spans = object_of(fields)
    return Turn("json forced", asked.question, text, given=spans)


def free_turn(view: View, rng: random.Random) -> Turn:
    """JSON without named keys."""
    ask = ("Describe the image as JSON.", "Answer in JSON.", "What do you see? Respond with a JSON object.")
    names = [KINDS[group.kind].name for group in view.groups[:6]]
    fields = [Field("description", captions.short(view), ""), Field("objects", names, "")]
    return Turn("json", rng.choice(ask), object_of(fields)[0])


def about_turn(view: View, rng: random.Random) -> Turn:
    """A question about presence or number, to be answered as JSON with one key of a plain name."""
    kind = Asker(view, rng).kind(0.6)
    name, many = KINDS[kind].name, KINDS[kind].plural
    draw = rng.random()
    if draw < 0.35:
        key, value = rng.choice(("answer", "present", "result")), view.group(kind) is not None
        text = f"Is there {with_article(name)}? Answer as JSON with the key {key}, true or false."
        return Turn("json", text, whole({key: value}))
    if draw < 0.7:
        text = f"How many {many} are there? Answer as JSON with the key count."
        return Turn("json", text, whole({"count": view.count_of((kind,))}))
    text = f"Is there {with_article(name)}? Answer as JSON with the key answer, as a sentence."
    return Turn("json", text, whole({"answer": presence(view, kind)}))


def json_turn(view: View, rng: random.Random) -> Turn:
    """Any of them."""
    makers = (named_turn, forced_turn, free_turn, about_turn)
    return rng.choices(makers, (1.2, 4.5, 0.5, 1.8))[0](view, rng)

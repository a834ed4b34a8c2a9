"""Questions about one picture as people put them in a chat, each with its one true answer as a sentence."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from training.things import answers, captions, questions
from training.things.kinds import KINDS, with_article
from training.things.phrasing import NUMBER_TAILS, YES_NO_TAILS
from training.things.questions import Asker
from training.things.view import Group, View

BESIDE = {"left": "to the left of", "right": "to the right of"}
WEIGHTS = {
    **{"exists": 3.0, "anyone": 1.0, "count": 2.0, "where": 1.6, "colour": 1.0},
    **{"short": 4.0, "detailed": 1.2, "list": 0.8, "title": 0.7, "largest": 0.6},
    **{"unknown": 1.6, "untold": 0.7, "text": 0.3, "left": 0.6, "right": 0.6, "inside": 0.5},
}
KINDS_OF_QUESTION = tuple(WEIGHTS)


@dataclass(frozen=True)
class Turn:
    """A question with its true answer; `about` is the kind that both speak of, or -1.

    `given` are the parts of the answer that a grammar writes: they are not learnt.
    """

    kind: str
    question: str
    answer: str
    about: int = -1
    given: tuple[tuple[int, int], ...] = ()


def sentence(text: str) -> str:
    """With a capital letter and a full stop; a number stays bare, for who reads it as one."""
    if text.isdigit():
        return text
    return captions.capital(text if text.endswith(".") else f"{text}.")


def presence(view: View, kind: int) -> str:
    """Whether the kind is there, and how often."""
    group = view.group(kind)
    if group is None:
        return f"No, I see no {KINDS[kind].name}."
    return sentence(f"{'yes,' if group.sure else 'probably'} {captions.noun(group)}")


def amount(view: View, kind: int) -> str:
    """How many of the kind there are."""
    group = view.group(kind)
    return sentence(answers.absent(KINDS[kind].name) if group is None else captions.noun(group))


def _exists(ask: Asker, kind: int) -> str:
    return presence(ask.view, kind)


def _count(ask: Asker, kind: int) -> str:
    return amount(ask.view, kind)


def _where(ask: Asker, kind: int) -> str:
    return sentence(answers.where(ask.view, kind))


def _colour(ask: Asker, kind: int) -> str:
    return sentence(answers.colour(ask.view, kind))


def _beside(side: str) -> Callable[[Asker, int], str]:
    return lambda ask, kind: sentence(answers.beside(ask.view, kind, side))


_ABOUT: dict[str, Callable[[Asker, int], str]] = {
    "exists": _exists,
    "count": _count,
    "where": _where,
    "colour": _colour,
    **{side: _beside(side) for side in BESIDE},
}


_WITH_PLACE = frozenset({"exists", "count"})


def turn(view: View, kind: str, rng: random.Random, *, held: bool = False) -> Turn:
    """A question of the kind, as people type it."""
    if kind in _ABOUT:
        ask = Asker(view, rng, held=held)
        about = ask.kind(0.55 if kind == "exists" else 0.85)
        place = questions.spot(rng) if kind in _WITH_PLACE else ""
        text = questions.typed(ask.filled(ask.template(kind), about) + place, kind, rng)
        return Turn(kind, text, _plain(view, kind, about, text) or _ABOUT[kind](ask, about), about)
    asked = questions.question(view, kind, rng, held=held)
    return Turn(kind, asked.text, asked.answer if kind == "title" else sentence(asked.answer), _of(kind))


def _of(kind: str) -> int:
    return 0 if kind == "anyone" else -1


def _plain(view: View, kind: str, about: int, text: str) -> str:
    """The bare word or number where that is asked for."""
    if kind == "exists" and text.endswith(YES_NO_TAILS):
        return sentence(answers.exists(view, about))
    if kind == "count" and text.endswith(NUMBER_TAILS):
        return f"{view.count_of((about,))}"
    return ""


def any_turn(view: View, rng: random.Random, *, held: bool = False) -> Turn:
    """A question of a kind drawn by weight."""
    return turn(view, rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0], rng, held=held)


_AND = (
    *("and {a}?", "What about {b}?", "And {b}?", "And {a}?", "what about {a}", "Or {a}?", "Any {b}?"),
    *("How about {a}?", "how about {b}", "And is there {a}?", "Also {a}?", "Are there {b}, too?"),
    *("And do you see {a}?", "Is there {a} as well?", "And what about {a}?", "Then maybe {a}?"),
)
_ITS = {
    "place": ("Where {it}?", "And where {it}?", "Where exactly {it}?", "where {it}", "In which part {it}?"),
    "colour": ("What color {it}?", "What colour {it}?", "And its color?", "Which color {it}?"),
    "number": ("How many?", "How many are there?", "And how many?", "how many do you see"),
    "side": ("What is {side} {them}?", "And {side} {them}?", "What do you see {side} {them}?"),
}


def follow_up(view: View, last: Turn, rng: random.Random, *, held: bool = False) -> Turn:
    """The next question about the same picture; often one that only the last one explains."""
    if last.kind == "exists" and rng.random() < 0.35:
        kind = Asker(view, rng).kind(0.5)
        ask = rng.choice(_AND)
        a, b = with_article(KINDS[kind].name), KINDS[kind].plural
        return Turn("exists", ask.format(a=a, b=b), presence(view, kind), kind)
    group = view.group(last.about) if last.about >= 0 else None
    if group is None or rng.random() < 0.4:
        return any_turn(view, rng, held=held)
    return _about_it(view, group, rng)


def _about_it(view: View, group: Group, rng: random.Random) -> Turn:
    it, them = ("is it", "it") if group.count == 1 else ("are they", "them")
    draw = rng.randrange(4)
    if draw == 0:
        where = sentence(answers.where(view, group.kind))
        return Turn("its place", rng.choice(_ITS["place"]).format(it=it), where, group.kind)
    if draw == 1:
        ask = rng.choice(_ITS["colour"]).format(it=it)
        return Turn("its colour", ask, sentence(answers.colour(view, group.kind)), group.kind)
    if draw == 2:
        side = rng.choice(list(BESIDE))
        found = sentence(answers.beside(view, group.kind, side))
        ask = rng.choice(_ITS["side"]).format(side=BESIDE[side], them=them)
        return Turn("beside it", ask, found, group.kind)
    return Turn("how many", rng.choice(_ITS["number"]), amount(view, group.kind), group.kind)

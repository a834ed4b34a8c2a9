"""Whole conversations: who says what, where the pictures stand, and what clients put around it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from training.chat.chat import OTHER_SYSTEMS, pictured, text_message
from training.everyday import pairs, structured, words
from training.everyday.turns import Turn, any_turn, follow_up, turn
from training.things import captions, clients, lists
from training.things.view import View

SYSTEMS = (
    *OTHER_SYSTEMS,
    "You are a helpful AI assistant.",
    "Your task is to analyze images of security cameras. Report people, vehicles and animals.",
    "Be friendly and concise. Do not make things up.",
)
HELD_SYSTEMS = (
    "You look at frames of a door camera for a family. Say only what is certain.",
    "You are a tool that answers questions about photographs.",
)
_RULES = (
    "Answer questions about the world truthfully.",
    "Answer in plain text. Keep it simple and to the point.",
    "When controlling a device, always pass its name and domain.",
    "When a user asks to turn on all devices of a type, ask for an area.",
    "This device is not able to start timers.",
    "You are in the area of the house where the satellite is.",
    "Use the tools only if they are needed to answer.",
    "The following devices are available in the house; their states may change at any time.",
    "Do not tell the user about entity ids.",
    "If the request is unclear, ask a short question.",
    "Never say that you are a language model.",
    "The current time is 18:42, and today is Saturday.",
    "Always answer in the language of the user.",
    "If an image is attached, describe only what matters to the people in the house.",
    "Speak like a butler.",
)
_PLACES = (
    *("kitchen", "bedroom", "bathroom", "garage", "garden", "hallway", "office", "living room", "porch"),
    *("cellar", "attic", "driveway", "terrace", "nursery", "study"),
)
_DEVICES = {
    "light": ("on", "off"),
    "switch": ("on", "off"),
    "cover": ("open", "closed"),
    "lock": ("locked", "unlocked"),
    "sensor": ("21.5", "48", "1013", "unavailable"),
    "climate": ("heat", "cool", "auto"),
    "media_player": ("playing", "idle", "paused"),
    "camera": ("idle", "recording"),
    "vacuum": ("docked", "cleaning"),
}


_FIRST = (
    "short",
    "short",
    "list",
    "exists",
    "count",
    "where",
    "where",
    "title",
    "colour",
    "colour",
    "largest",
)


_ATTRIBUTES = (
    *("colour", "where", "left", "left", "right", "right", "largest", "exists", "count", "unknown"),
    *("inside", "inside", "inside", "anyone", "untold"),
)
_NAMED = ("short", "short", "short", "detailed", "detailed", "list", "list", "title", "largest")


@dataclass(frozen=True)
class Talk:
    """A conversation about some pictures, which the first user message carries; `layout` is as in `Chat`.

    `lead` is a user message before.
    """

    views: tuple[View, ...]
    turns: tuple[Turn, ...]
    system: str | None = None
    layout: str = "before"
    lead: str = ""

    def first_content(self) -> list[dict[str, Any]]:
        """The parts of the first user message; see `pictured`."""
        return pictured(self.turns[0].question, len(self.views), self.layout)

    def messages(self) -> list[dict[str, Any]]:
        """All messages, answers included."""
        made = [] if self.system is None else [text_message("system", self.system)]
        if self.lead:
            made.append(text_message("user", self.lead))
        for number, each in enumerate(self.turns):
            content = self.first_content() if number == 0 else text_message("user", each.question)["content"]
            made += [{"role": "user", "content": content}, text_message("assistant", each.answer)]
        return made


def home_system(rng: random.Random) -> str:
    """The long instructions of a program for the home: rules, and the devices with their states."""
    head = rng.choice(("You are a voice assistant for Home Assistant.", "You control a smart home."))
    lines = [head, *rng.sample(_RULES, rng.randint(2, 7))]
    for _ in range(rng.choices((0, 3, 8, 16, 40), (5, 3, 2, 0.6, 0.1))[0]):
        domain, place = rng.choice(list(_DEVICES)), rng.choice(_PLACES)
        state = rng.choice(_DEVICES[domain])
        form = rng.choice(("- names: {n}\n  domain: {d}\n  state: '{s}'", "{d}.{u} '{n}' = {s}", "{n}: {s}"))
        name = f"{place} {domain}"
        lines.append(form.format(n=name, d=domain, u=name.replace(" ", "_"), s=state))
    return "\n".join(lines)


def some_system(rng: random.Random, *, held: bool = False) -> str | None:
    """None mostly, and otherwise short or long instructions."""
    draw = rng.random()
    if draw < 0.62:
        return None
    if draw < 0.9:
        return rng.choice(HELD_SYSTEMS if held else SYSTEMS)
    return (
        home_system(rng)
        if draw < 0.95
        else " ".join(rng.sample(clients.RULES, 3)).format(label="dog", number=20, camera="garden")
    )


def some_layout(rng: random.Random, count: int) -> str:
    """Where the pictures stand."""
    weights = (0.72, 0.2, 0.08) if count == 1 else (0.5, 0.15, 0.35)
    return rng.choices(("before", "after", "labelled"), weights)[0]


def some_view(rng: random.Random) -> View:
    """A list; often the fuller one of two, because what stands late in a long list is slow to be learnt."""
    view = View(lists.sample(rng))
    other = View(lists.sample(rng)) if rng.random() < 0.45 else view
    return max(view, other, key=lambda each: len(each.groups))


def one_picture(rng: random.Random) -> Talk:
    """Several questions about one picture."""
    view = some_view(rng)
    asked: list[Turn] = []
    for _ in range(rng.choice((1, 2, 3, 4, 6))):
        draw = rng.random()
        if draw < 0.32:
            asked.append(structured.json_turn(view, rng))
        elif draw < 0.33:
            asked.append(words.about_itself(rng))
        else:
            asked.append(follow_up(view, asked[-1], rng) if asked else any_turn(view, rng))
    return Talk((view,), tuple(asked), some_system(rng), some_layout(rng, 1))


def first_words(rng: random.Random) -> Talk:
    """One or two plain questions about one picture: the quickest way to learn where to look."""
    view = View(lists.sample(rng))
    asked = [turn(view, rng.choice(_FIRST), rng) for _ in range(rng.choice((1, 2, 2)))]
    return Talk((view,), tuple(asked))


def attributes(rng: random.Random) -> Talk:
    """Questions about what a thing is like and what is beside it: rare elsewhere, and slow to be learnt."""
    view = some_view(rng)
    return Talk((view,), tuple(turn(view, rng.choice(_ATTRIBUTES), rng) for _ in range(3)))


def named(rng: random.Random) -> Talk:
    """All that there is, once: what was said before of the same picture would be copied."""
    view = some_view(rng)
    last = turn(view, rng.choice(_NAMED), rng)
    if rng.random() < 0.3:
        return Talk((view,), (turn(view, rng.choice(_ATTRIBUTES), rng), last))
    return Talk((view,), (last,))


def two_pictures(rng: random.Random) -> Talk:
    """Questions about two pictures."""
    views = pairs.pair_of(lists.sample, rng)
    asked = [pairs.pair_turn(views, rng) for _ in range(rng.randint(1, 6))]
    if rng.random() < 0.3:
        place = rng.randrange(len(asked))
        key = rng.choice(("answer", "result", "response", "description"))
        made, spans = structured.object_of([structured.Field(key, asked[place].answer, "")])
        asked[place] = replace(asked[place], kind="pair json", answer=made, given=spans)
    return Talk(views, tuple(asked), some_system(rng), some_layout(rng, 2))


def instructed(rng: random.Random) -> Talk:
    """A long instruction about one picture, sometimes with an answer that a grammar holds."""
    view = some_view(rng)
    text, answer = clients.instruction(view, rng) if rng.random() < 0.85 else clients.strange(view, rng)
    told = Turn("instruction", text, answer)
    if rng.random() < 0.25:
        made, spans = structured.object_of(structured.some_fields(view, rng))
        told = replace(told, kind="instruction json", answer=made, given=spans)
    system = home_system(rng) if rng.random() < 0.2 else some_system(rng)
    return Talk((view,), (told,), system, some_layout(rng, 1))


def many_pictures(rng: random.Random) -> Talk:
    """A long instruction about two to four pictures, as cameras send them."""
    views = [View(lists.sample(rng)) for _ in range(rng.choice((2, 2, 3, 4)))]
    text, answer = clients.instruction(views[0], rng)
    answer = pairs.each(views) if answer.endswith(".") else answer
    told = Turn("sequence", text, answer)
    if rng.random() < 0.35:
        made, spans = structured.object_of(_review(views, rng))
        told = replace(told, kind="sequence json", answer=made, given=spans)
    return Talk(tuple(views), (told,), some_system(rng), some_layout(rng, len(views)))


def _review(views: Sequence[View], rng: random.Random) -> list[structured.Field]:
    """The fields of a report about a sequence of pictures."""
    told = pairs.each(views)
    fields = [
        structured.Field("scene", told, ""),
        structured.Field("title", captions.title(views[0]), ""),
        structured.Field("shortSummary", captions.short(views[0]), ""),
        structured.Field("confidence", 0.7, ""),
        structured.Field("potential_threat_level", 0, ""),
        structured.Field("other_concerns", [], ""),
        structured.Field("description", told, ""),
        structured.Field("summary", told, ""),
    ]
    return rng.sample(fields, rng.randint(1, 5))


def no_picture(rng: random.Random) -> Talk:
    """Small talk, to which the model says what it is."""
    asked = tuple(words.small_talk(rng) for _ in range(rng.choice((1, 1, 2, 3))))
    system = home_system(rng) if rng.random() < 0.25 else some_system(rng)
    if rng.random() < 0.2:
        made, spans = structured.object_of(structured.blank_fields(asked[0].answer, rng))
        asked = (replace(asked[0], kind="text json", answer=made, given=spans), *asked[1:])
    return Talk((), asked, system)


def _told(rng: random.Random) -> tuple[str, str]:
    """A question and its answer, of a conversation that lies behind."""
    told = words.small_talk(rng) if rng.random() < 0.2 else any_turn(View(lists.sample(rng)), rng)
    return told.question, told.answer


def titles(rng: random.Random) -> Talk:
    """A title for a text that was said before."""
    view = View(lists.sample(rng))
    text = captions.short(view) if rng.random() < 0.6 else captions.detailed(view)
    lead = words.title_lead(rng) if rng.random() < 0.5 else ""
    return Talk((), (words.title_of_text(text, rng),), None, lead=lead)


def tasks(rng: random.Random) -> Talk:
    """What a chat program asks in the background."""
    return Talk((), (words.task(*_told(rng), rng),), None)


MAKERS: dict[Callable[[random.Random], Talk], float] = {
    one_picture: 6.0,
    attributes: 7.0,
    named: 4.5,
    two_pictures: 2.6,
    instructed: 1.2,
    many_pictures: 0.5,
    no_picture: 0.6,
    titles: 0.25,
    tasks: 0.25,
}


def talk(rng: random.Random) -> Talk:
    """A conversation of a kind drawn by weight."""
    return rng.choices(list(MAKERS), list(MAKERS.values()))[0](rng)

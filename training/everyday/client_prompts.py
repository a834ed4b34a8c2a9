"""Prompts as real clients send them, in other words than those of the training: for measuring alone."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from training.chat.chat import pictured, text_message
from training.everyday.talks import home_system
from training.things.clients import CAMERAS
from training.things.kinds import KINDS

Message = dict[str, Any]


@dataclass(frozen=True)
class ClientPrompt:
    """A request: who sends it, its messages, how many pictures it has, and the schema of the answer."""

    name: str
    messages: list[Message]
    pictures: int = 0
    schema: dict[str, Any] | None = None


def _pictured(text: str, pictures: int, layout: str = "after") -> Message:
    return {"role": "user", "content": pictured(text, pictures, layout)}


_COMMANDS = (
    *("Turn on the bedroom lamp please.", "What is the humidity in the bathroom?", "Is the window open?"),
    *("Start the vacuum in the hallway.", "Close all covers.", "Play some jazz in the kitchen."),
    *("Good night, switch everything off.", "How warm is it outside?", "Did I leave the oven on?"),
    *("Who is at the door?", "Remind me to call grandma.", "Set the thermostat to 20 degrees."),
    *("What can you see?", "Unlock the back door.", "Which lights are still on?"),
)


def _home(rng: random.Random) -> ClientPrompt:
    system = f"{home_system(rng)}\nStatic Context: an overview of the areas and devices in this home."
    return ClientPrompt(
        "Home Assistant", [text_message("system", system), text_message("user", rng.choice(_COMMANDS))]
    )


def _home_picture(rng: random.Random) -> ClientPrompt:
    ask = rng.choice(
        (
            "Look at the snapshot of the {} and tell me in one sentence whether somebody is there.",
            "This is the {}. Are the bins out, and is the car there?",
            "Describe the picture of the {} so that it can be read out by a speaker.",
            "Count the cars in the {} and say where they are.",
        )
    ).format(rng.choice(CAMERAS))
    return ClientPrompt("Home Assistant", [text_message("system", home_system(rng)), _pictured(ask, 1)], 1)


_VISION_SYSTEM = (
    "You look at one picture or at several that follow each other, and write a brief report of the event as"
    " the user wants it. Name people, pets and vehicles and what they do; leave out what never moves. Where"
    " there are several pictures, say what has moved or changed from one to the next. Stay short and neutral,"
    " keep to what the user asks, and report only what can be observed."
)


def _vision(rng: random.Random) -> ClientPrompt:
    pictures = rng.choice((1, 1, 2, 3, 5))
    ask = rng.choice(
        (
            "These pictures were taken a few seconds apart. Sum up the event. Only what moves matters:"
            " people, vehicles and animals, never the scenery. Be clear and brief about who goes where."
            " Write as if you stood there, without a word about pictures.",
            "Describe what happened at the front of the house. Mention people by their actions.",
            "Is there a package at the door? Answer in at most twelve words.",
            "What is the dog doing?",
        )
    )
    messages = [text_message("system", _VISION_SYSTEM), _pictured(ask, pictures, "labelled")]
    return ClientPrompt("LLM Vision", messages, pictures)


def _vision_title(rng: random.Random) -> ClientPrompt:
    text = rng.choice(
        (
            "A person and a dog.",
            "Probably two cats.",
            "Three cars and a truck.",
            "Nothing that I know is in this picture.",
            "The picture shows a person and two bicycles. The person is on the left.",
            "The first image shows a bird. The last image shows two birds and a cat.",
        )
    )
    lead = (
        "You write titles for events, short ones. A title sums up what the description below says, without"
        " opinions and details. Its form is '<Thing> seen', for instance 'Person seen'. It has no date, no"
        " time, no quotation marks and no markdown."
    )
    return ClientPrompt(
        "LLM Vision",
        [text_message("user", lead), text_message("user", f"Create a title for this text: {text}")],
    )


_HISTORY = (
    ("What is on this picture?", "Two dogs and a person."),
    ("Is there a cat?", "No, I see no cat."),
    ("Hello!", "Hello! Send me a picture, and I will say what I see."),
    ("Describe the image.", "A bus, three cars and a traffic light."),
    ("How do I bake bread?", "I can only say what is in a picture. Please send me one."),
)
_JOBS = {
    "title": (
        "### Task:\nFind a concise title of 3-5 words, with an emoji, that sums up the chat history.\n"
        "### Guidelines:\n"
        "- The title names the theme of the conversation, and a reader understands it at once.\n"
        "- An emoji may help; quotation marks and other formatting must not be used.\n"
        "- It is in the main language of the chat, in English where several are mixed.\n"
        "- Being right matters more than being original.\n"
        "- Nothing but the JSON object may be in the response, or it cannot be parsed.\n"
        '### Output:\nJSON format: { "title": "your concise title here" }\n'
        '### Examples:\n- { "title": "Bread Without Yeast" },\n- { "title": "Trip to Norway" }\n'
    ),
    "tags": (
        "### Task:\nName 1-3 broad tags for the themes of the chat history, and 1-3 narrower ones.\n\n"
        "### Guidelines:\n"
        "- Begin with large fields: Science, Technology, Arts, Politics, Sports and the like.\n"
        "- Narrower fields count only where much is said of them.\n"
        '- For a chat of less than 3 messages, or one about everything, use only ["General"]\n'
        "- The tags are in the language of the chat.\n\n"
        '### Output:\nJSON format: { "tags": ["tag1", "tag2", "tag3"] }\n\n'
    ),
    "follow_ups": (
        "### Task:\nWhat could the user ask next? Suggest 3-5 follow-up questions that carry this chat on.\n"
        "### Guidelines:\n"
        "- They are questions of the user to the assistant.\n"
        "- They are brief, clear and about what the chat is about.\n"
        "- What was answered already is not asked again.\n"
        '### Output:\nJSON format: { "follow_ups": ["Question 1?", "Question 2?", "Question 3?"] }\n'
    ),
    "queries": (
        "### Task:\nDecide from the chat history whether a search of the web would help, and if so, for what."
        " If in doubt, give 1-3 broad queries.\n### Guidelines:\n"
        "- The response is a JSON object and nothing else.\n"
        "- Today's date is: 2026-11-28.\n"
        '### Output:\nOnly JSON in this form:\n{ "queries": ["query1", "query2"] }\n'
    ),
}


def _web(rng: random.Random) -> ClientPrompt:
    asked, answered = rng.choice(_HISTORY)
    job = rng.choices(list(_JOBS.values()), (4, 3, 2, 1))[0]
    text = f"{job}### Chat History:\n<chat_history>\nUSER: {asked}\nASSISTANT: {answered}\n</chat_history>"
    return ClientPrompt("Open WebUI", [text_message("user", text)])


def _web_chat(rng: random.Random) -> ClientPrompt:
    ask = rng.choice(
        ("What do you see here?", "How many people?", "What's this?", "Describe in detail please")
    )
    return ClientPrompt("Open WebUI", [_pictured(ask, 1)], 1)


def _frigate(rng: random.Random) -> ClientPrompt:
    label, pictures = rng.choice(KINDS).name, rng.choice((1, 2, 3, 6))
    text = (
        f"These images in sequence show the {label}. Tell what the {label} seems to be up to, as its"
        " movements show it, and not what it looks like or what is around it. What is it doing, why, and"
        f" what could the {label} do next?"
    )
    if rng.random() < 0.5:
        text = f"Give as many details about the {label} in these images as you can, none of the background."
    return ClientPrompt("Frigate", [_pictured(text, pictures)], pictures)


_REVIEW = {
    "title": {"type": "string"},
    "scene": {"type": "string"},
    "shortSummary": {"type": "string"},
    "confidence": {"type": "number", "minimum": 0, "maximum": 1},
    "potential_threat_level": {"type": "integer", "minimum": 0, "maximum": 3},
    "other_concerns": {"type": "array", "items": {"type": "string"}},
}


def _review(rng: random.Random) -> ClientPrompt:
    camera = rng.choice(CAMERAS)
    text = (
        f"A security camera at the {camera} took these frames one after the other.\n\n"
        "## What is normal here\n- People who come and go with bags\n- Deliveries by day\n"
        "- Pets in the garden\n\n## What to do\n1. Say what happens in the frames.\n"
        "2. Judge it: normal, suspicious or critical.\n3. Fill in the JSON object.\n\n"
        "## How\n- Only what can be seen counts.\n- Names are not guessed.\n"
        "- The hour and the zone matter.\n\n## About this sequence\n- The first frame is the oldest\n"
        f"- It began at {rng.randrange(24)}:15 and took {rng.randrange(5, 60)} seconds\n"
        f"- Detected: {rng.choice(KINDS).name}\n- Zone: {camera}"
    )
    schema = {"type": "object", "properties": _REVIEW, "required": list(_REVIEW)}
    return ClientPrompt("Frigate", [_pictured(text, 3)], 3, schema)


def _probe(rng: random.Random) -> ClientPrompt:
    text = rng.choice(
        ("Hi", "test from litellm", "Hello, how are you?", "Reply with OK.", "ping", "Who are you?")
    )
    messages = [text_message("user", text)]
    if rng.random() < 0.4:
        messages.insert(0, text_message("system", "You are a helpful assistant that answers concisely."))
    return ClientPrompt("other clients", messages)


_MAKERS: dict[Callable[[random.Random], ClientPrompt], int] = {
    _home: 30,
    _home_picture: 20,
    _vision: 30,
    _vision_title: 20,
    _web: 40,
    _web_chat: 10,
    _frigate: 30,
    _review: 10,
    _probe: 10,
}


def client_prompts(rng: random.Random) -> Iterator[ClientPrompt]:
    """200 prompts."""
    for make, count in _MAKERS.items():
        for _ in range(count):
            yield make(rng)


def _schema(rng: random.Random) -> dict[str, Any]:
    """A schema of one to five keys, as people write them."""
    kinds = [kind.name.replace(" ", "_") for kind in rng.sample(KINDS, 3)]
    able: dict[str, dict[str, Any]] = {
        kinds[0]: {"type": "boolean"},
        f"{kinds[1]}_count": {"type": "integer", "minimum": 0, "maximum": 50},
        f"is_{kinds[2]}_visible": {"type": "boolean"},
        "description": {"type": "string"},
        "title": {"type": "string"},
        "answer": {"type": "string"},
        "count": {"type": "integer"},
        "notes": {"type": "string"},
        "objects": {"type": "array", "items": {"type": "string"}, "maxItems": 12},
        "detections": {"type": "array", "maxItems": 8, "items": _DETECTION},
        "level": {"type": "string", "enum": ["low", "medium", "high"]},
        "confidence": {"type": "number"},
        "raining": {"type": "boolean"},
    }
    chosen = rng.sample(list(able), rng.randint(1, 5))
    return {
        "type": "object",
        "properties": {key: able[key] for key in chosen},
        "required": chosen,
        "additionalProperties": False,
    }


_DETECTION = {
    "type": "object",
    "properties": {
        "label": {"type": "string"},
        "box": {"type": "array", "items": {"type": "integer"}, "minItems": 4, "maxItems": 4},
    },
    "required": ["label", "box"],
}


def schemas(rng: random.Random) -> Iterator[tuple[dict[str, Any], str]]:
    """200 schemas with a question each."""
    asks = (
        *("What do you see?", "Analyze the image.", "Is there a person?", "How many cars are there?"),
        *("Describe the scene.", "Where is the dog?", "Fill in the report for this camera."),
    )
    for _ in range(200):
        yield _schema(rng), rng.choice(asks)

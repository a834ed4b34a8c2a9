"""Long instructions as real clients send them, and strange ones: each gets a short sentence that is true."""

from __future__ import annotations

import random
from collections.abc import Callable

from training.things import answers, captions
from training.things.kinds import KINDS
from training.things.view import View

ROLES = (
    "You are a helpful assistant that describes images from a security camera.",
    "You are an AI that analyzes camera footage for a smart home.",
    "You are a voice assistant for Home Assistant.",
    "You are a concise and precise image analyst.",
    "You are watching the {camera} camera.",
    "Act as a security guard who watches the {camera}.",
    "The following image comes from the {camera} camera.",
    "This snapshot was taken by the camera at the {camera}.",
    "A motion sensor was triggered at the {camera}.",
    "Motion was detected at the {camera}.",
    "The attached image was taken at {time}.",
    "I have a camera at my {camera}.",
    "The doorbell rang.",
    "Context: {camera} camera, {time}.",
)
SHORT = (
    "Analyze the sequence of images containing the {label}.",
    "Analyze the image and describe the {label} in it.",
    "Describe the {label} in this image.",
    "Describe the {label} in the sequence of images with as much detail as possible.",
    "Focus on the likely intent or behavior of the {label} based on its actions and movement.",
    "Summarize the events based on a series of images captured at short intervals.",
    "Describe the main activity in the image.",
    "Describe in one sentence what you see for a notification on my phone.",
    "Write a short notification about what the camera sees.",
    "Summarize what happened in one sentence.",
    "Briefly describe what is in the picture, in at most {number} words.",
    "Generate a caption for this image.",
    "Tell me what triggered the camera.",
    "Report what is happening at the {camera}.",
    "Give a one sentence summary of the scene.",
    "Respond with a JSON object with the key description.",
    "Return a short summary of the image suitable for a smart speaker.",
    "Please provide an alt text for this image.",
    "Create an alert message if there is a person or a vehicle.",
    "What activity is taking place?",
)
DETAILED = (
    "Describe what you see in two sentences for a notification.",
    "Describe the image in detail, including people, vehicles and animals and where they are.",
    "Provide a detailed description of the scene.",
    "Describe everything that you can see in two or three sentences.",
    "Give a detailed report of the objects in the image.",
    "Write a detailed description with the position of each object.",
)
TITLES = (
    "Generate a short title for this event.",
    "Provide a short and concise event title based on the description.",
    "Create a title of at most {number} words for this event.",
    "Write a title for this event, for a timeline.",
    "Generate a concise title that summarizes the image, without punctuation.",
)
RULES = (
    "Focus only on moving subjects such as people, vehicles and animals.",
    "Ignore static objects and scenery.",
    "Do not mention the image itself.",
    "Do not describe the background.",
    "Do not speculate.",
    "Do not include any introduction.",
    "Consider what the {label} is doing, why, and what it might do next.",
    "Do not describe its appearance or the surroundings.",
    "Keep your answer under {number} words.",
    "Use no more than {number} words.",
    "Answer in plain text without any formatting.",
    "Do not use markdown or emojis.",
    "Be factual and objective.",
    "If nothing is there, say so.",
    "If no movement is detected, respond with: No activity observed.",
    "Provide a clear and concise account of movements and interactions.",
    "Mention people first.",
    "The camera looks at the {camera}.",
    "Important: the time in the corner of the image must be ignored.",
    "Only describe what is clearly visible.",
    "Use simple language.",
    "Respond in English.",
    "Your answer will be read aloud.",
    "The answer is shown on a phone, so keep it short.",
    "The known vehicles are a {label} and a {label}.",
    "Never ask a question back.",
    "Say nothing about the weather.",
    "Do not repeat yourself.",
    "Return only the text.",
)
FOREIGN = (
    *("Beschreibe das Bild.", "Was siehst du?", "Beschreibe kurz, was auf dem Bild zu sehen ist."),
    *("Que vois-tu sur cette image ?", "Décris cette image.", "Describe la imagen.", "¿Qué ves en la foto?"),
    *(
        "Descrivi l'immagine.",
        "Wat zie je op deze foto?",
        "Опиши картинку.",
        "描述这张图片",
        "この画像を説明して",
    ),
    *("Descreva a imagem.", "Opisz obraz.", "Beskriv bilden.", "Kuvaile kuva."),
)
CAMERAS = (
    *("front door", "driveway", "back yard", "garage", "garden", "porch", "gate", "kitchen", "living room"),
    *("street", "parking lot", "office", "hallway", "stable", "pool", "terrace", "doorbell"),
)
HELD_ROLES = (
    "You are a smart camera that reports to the owner of the house.",
    "Below is a frame from my outdoor camera near the {camera}.",
    "I am away from home and my {camera} camera sent me this.",
    "System: you summarize events for a home automation system.",
)
HELD_SHORT = (
    "Please look at this frame and say in a few words who or what is there.",
    "Explain in one short sentence why the camera was triggered.",
    "Describe the image for a visually impaired person in one sentence.",
    "Say what the {label} is up to.",
    "Compose a push message that tells what is at the {camera}.",
    "Summarize the snapshot.",
)
HELD_DETAILED = (
    "Describe the scene with all details you can find.",
    "Write a description of two sentences with the position of the objects.",
)
HELD_TITLES = ("Invent a short title for the event.", "Give this event a title of {number} words or fewer.")
HELD_RULES = (
    "Avoid guessing.",
    "Stay below {number} characters.",
    "Skip greetings and explanations.",
    "Leave out colors and clothing.",
    "The family owns a {label}.",
    "Write for a notification on a watch.",
    "Never mention the camera.",
)
FORMS: dict[str, Callable[[View], str]] = {
    "short": captions.short,
    "detailed": captions.detailed,
    "title": captions.title,
}


def _filled(sentence: str, rng: random.Random) -> str:
    return sentence.format(
        label=rng.choice(KINDS).name,
        camera=rng.choice(CAMERAS),
        number=rng.choice((5, 6, 8, 10, 15, 20, 30, 50, 100)),
        time=f"{rng.randrange(24)}:{rng.randrange(60):02d}",
    )


def instruction(view: View, rng: random.Random, *, held: bool = False) -> tuple[str, str]:
    """A long prompt and what is said to it."""
    form = rng.choices(list(FORMS), (6, 3, 2))[0]
    pools = (HELD_ROLES, HELD_RULES) if held else (ROLES, RULES)
    asked = {
        "short": HELD_SHORT if held else SHORT,
        "detailed": HELD_DETAILED if held else DETAILED,
        "title": HELD_TITLES if held else TITLES,
    }[form]
    rules = rng.sample(pools[1], min(rng.choice((0, 1, 1, 2, 3, 4, 6)), len(pools[1])))
    parts = [rng.choice(asked), *rules]
    if rng.random() < 0.3:
        rng.shuffle(parts)
    if rng.random() < 0.5:
        parts.insert(0, rng.choice(pools[0]))
    between = "\n" if rng.random() < 0.15 else " "
    return between.join(_filled(part, rng) for part in parts), FORMS[form](view)


def strange(view: View, rng: random.Random) -> tuple[str, str]:
    """What no one planned: other languages, signs, letters, a text without a question."""
    draw = rng.random()
    if draw < 0.4:
        return rng.choice(FOREIGN), captions.short(view)
    if draw < 0.6:
        return "".join(
            rng.choice("?!.,;:#*-_/1234567890") for _ in range(rng.randint(1, 12))
        ), captions.short(view)
    words = [
        "".join(rng.choice("etaoinshrdlucmfwypvbgkjqxz") for _ in range(rng.randint(1, 9))) for _ in range(8)
    ]
    return " ".join(words[: rng.randint(1, 8)]), answers.UNTOLD

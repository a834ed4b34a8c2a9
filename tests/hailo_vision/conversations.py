"""Conversations that engine and transformers are both asked. Needs no torch."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from PIL import Image

from hailo_common.engine.contract import Engine, EngineStarted, RgbImage
from hailo_common.images.resize import ResizeSpec
from hailo_common.inference.sampling import Logits
from hailo_vision.protocol import VisionResult
from hailo_vision.text.generation import Picker
from tests.hailo_florence.cases import DATA, GOLDEN, ROOT
from tests.hailo_florence.cases import formula_image as square_image
from tests.hailo_florence.demo import encoded as scene_files
from tests.hailo_vision.talk import vision_request
from tests.limits import decode

DEMO = ROOT / "hailo_vision" / "demo_model"
EVERYDAY = ROOT / "hailo_vision" / "everyday_model"
FOLDERS = {"random-a": DATA / "qwen-random-a", "random-b": DATA / "qwen-random-b"}
PENALTY = 1.3
Spec = tuple[int, int, int]
"""Width and height in pixels and number of a picture."""

# Pillow 13 resizes vertically first where the height shrinks much more than the width; older ones never do,
# and some levels differ. No picture here is such a one, so that the golden answers hold with all versions.
SIZES = ((60, 60), (64, 20), (15, 90), (400, 3), (33, 57), (7, 5), (310, 290), (2, 150), (96, 24))
SCENE_SIZES = ((128, 128), (320, 240), (96, 160), (150, 110), (300, 60), (50, 240), (640, 480))
QUESTIONS = (
    "Describe the image.",
    "What color is the circle?",
    "How many objects are there?",
    "Is there a red square to the left of the star?",
    "What is in the picture? Answer briefly.",
    "  ¿Cuántos círculos hay?\n\n\t😀  e\u0301 12,345.67",
    "x",
    "",
)
FOLLOW_UPS = ("And the square?", "What color is it?", "Are you sure?", "Which image has more objects?")
REPLIES = ("A red circle.", "Two", "There is a blue square to the left of a green star.", "Yes\n")
SYSTEMS = ("Answer briefly.", "You are a helpful vision assistant.\nBe precise.", "")


@dataclass(frozen=True)
class Conversation:
    """One greedy request; `messages` are those of the engine's request, `kind` says what is special."""

    kind: str
    messages: list[dict[str, Any]]
    images: list[Spec]
    max_tokens: int
    penalty: float | None = None

    def request(self) -> dict[str, Any]:
        """The same as the engine's request."""
        penalty = {} if self.penalty is None else {"repetition_penalty": self.penalty}
        return {"messages": self.messages, "max_tokens": self.max_tokens, "temperature": 0.0, **penalty}

    def to_json(self) -> dict[str, Any]:
        """The same as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Conversation:
        """The inverse of `to_json`; other keys are left alone."""
        images = [(width, height, number) for width, height, number in row["images"]]
        return cls(row["kind"], row["messages"], images, row["max_tokens"], row["penalty"])


@dataclass(frozen=True)
class Answer:
    """What the engine told: its first event, its result, and the texts in between.

    `tokens` are the ids that it chose, which it does not tell.
    """

    started: dict[str, Any]
    texts: list[str]
    tokens: list[int]
    result: dict[str, Any]


def _say(role: str, *parts: str | int) -> dict[str, Any]:
    """A message of texts and picture numbers."""
    content = [
        {"type": "text", "text": part} if isinstance(part, str) else {"type": "image", "image": part}
        for part in parts
    ]
    return {"role": role, "content": content}


def _turns(rng: random.Random, *firsts: dict[str, Any]) -> list[dict[str, Any]]:
    """User messages with a reply between each two."""
    made = [firsts[0]]
    for message in firsts[1:]:
        made += [_say("assistant", rng.choice(REPLIES)), message]
    return made


def _text(rng: random.Random) -> list[dict[str, Any]]:
    return [_say("user", rng.choice(QUESTIONS))]


def _text_turns(rng: random.Random) -> list[dict[str, Any]]:
    return _turns(rng, *(_say("user", rng.choice(FOLLOW_UPS)) for _ in range(rng.randint(2, 4))))


def _one(rng: random.Random) -> list[dict[str, Any]]:
    return [_say("user", 0, rng.choice(QUESTIONS))]


def _after(rng: random.Random) -> list[dict[str, Any]]:
    return [_say("user", rng.choice(QUESTIONS), 0)]


def _system(rng: random.Random) -> list[dict[str, Any]]:
    return [_say("system", rng.choice(SYSTEMS)), *_one(rng)]


def _follow_up(rng: random.Random) -> list[dict[str, Any]]:
    later = (_say("user", rng.choice(FOLLOW_UPS)) for _ in range(rng.randint(1, 3)))
    return _turns(rng, *_one(rng), *later)


def _two(rng: random.Random) -> list[dict[str, Any]]:
    return [_say("user", 0, 1, rng.choice(FOLLOW_UPS))]


def _labelled(rng: random.Random) -> list[dict[str, Any]]:
    return [_say("user", "Image 1:", 0, "Image 2:", 1, rng.choice(FOLLOW_UPS))]


def _later(rng: random.Random) -> list[dict[str, Any]]:
    second = _say("user", 1, rng.choice(QUESTIONS))
    return [_say("system", rng.choice(SYSTEMS)), *_turns(rng, *_one(rng), second, *_text(rng))]


def _three(rng: random.Random) -> list[dict[str, Any]]:
    return _turns(rng, _say("user", 0, rng.choice(QUESTIONS), 1), _say("user", 2), *_text(rng))


def _twice(rng: random.Random) -> list[dict[str, Any]]:
    return _turns(rng, *_one(rng), _say("user", 0, rng.choice(FOLLOW_UPS)))


KINDS: dict[str, tuple[int, Callable[[random.Random], list[dict[str, Any]]]]] = {
    "one picture": (1, _one),
    "text only": (0, _text),
    "two pictures": (2, _two),
    "follow-up": (1, _follow_up),
    "system": (1, _system),
    "picture after text": (1, _after),
    "text turns": (0, _text_turns),
    "labelled pictures": (2, _labelled),
    "picture in a later turn": (2, _later),
    "three pictures": (3, _three),
    "same picture twice": (1, _twice),
}
"""How many pictures, and the messages."""


def conversations(name: str, count: int, seed: int) -> Iterator[Conversation]:
    """`count` conversations for one model, all kinds in turn; every seventh has a repetition penalty."""
    sizes, images = (SCENE_SIZES, len(scene_files())) if name == "demo" else (SIZES, 6)
    rng = random.Random(seed)
    for number in range(count):
        kind = list(KINDS)[number % len(KINDS)]
        needed, make = KINDS[kind]
        specs = [(*rng.choice(sizes), rng.randrange(images)) for _ in range(needed)]
        penalty = PENALTY if number % 7 == 6 else None
        yield Conversation(kind, make(rng), specs, rng.choice((1, 8, 24, 24)), penalty)


def formula_image(spec: Spec) -> Image.Image:
    """A picture for the random models."""
    width, height, number = spec
    return Image.fromarray(square_image(max(width, height), number)[:height, :width].copy())


def scene_image(spec: Spec) -> Image.Image:
    """A picture for the demo model: one of its held-out scenes, squashed to the size, one side at a time."""
    width, height, number = spec
    with Image.open(io.BytesIO(scene_files()[number])) as scene:
        wide = scene.convert("RGB").resize((width, scene.height), Image.Resampling.BICUBIC)
        return wide.resize((width, height), Image.Resampling.BICUBIC)


def images_of(name: str, conversation: Conversation) -> list[Image.Image]:
    """A conversation's pictures for one model."""
    paint = scene_image if name == "demo" else formula_image
    return [paint(spec) for spec in conversation.images]


def decoded(image: Image.Image, target: Mapping[str, Any]) -> RgbImage:
    """The picture as the decoder process gives it to the engine; `target` is what `load()` returned."""
    memory = io.BytesIO()
    image.save(memory, "PNG")
    made = decode(memory.getvalue(), replace(ResizeSpec.from_json(dict(target)), exact=True))
    return np.frombuffer(made.rgb, np.uint8).reshape(made.height, made.width, 3)


def ask(engine: Engine, conversation: Conversation, images: list[RgbImage]) -> Answer:
    """The engine's answer to a conversation."""
    return ask_for(engine, conversation.request(), images)


def ask_for(engine: Engine, request: Mapping[str, Any], images: list[RgbImage]) -> Answer:
    """The engine's answer to a request."""
    tokens: list[int] = []
    pick = Picker.pick

    def recording(picker: Picker, logits: Logits) -> int:
        tokens.append(pick(picker, logits))
        return tokens[-1]

    with patch.object(Picker, "pick", recording):
        started, *texts, last = engine.run(vision_request(request), images)
    assert isinstance(started, EngineStarted)
    assert isinstance(last, VisionResult)
    return Answer(vars(started), [text for text in texts if isinstance(text, str)], tokens, last.to_json())


def demo_is_there() -> bool:
    """Whether the demo model has been exported; without it its tests are skipped, and only then."""
    return (DEMO / "config.json").exists()


def folder_of(name: str) -> Path:
    """The model folder of a golden file's name, or that of the everyday model."""
    return {"demo": DEMO, "everyday": EVERYDAY}.get(name) or FOLDERS[name]


def golden_file(name: str) -> Path:
    """Where a model's recorded answers stand."""
    return GOLDEN / f"vision-{name}.json"

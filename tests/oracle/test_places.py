"""Places in answers, well formed and not, against the post-processing of transformers."""

from __future__ import annotations

import random
from typing import Any

import pytest

from hailo_florence.model.places import NOT_THINGS, find_places
from hailo_florence.protocol import TASKS, TaskSpec

pytestmark = pytest.mark.oracle
PIECES = (
    *("<poly>", "</poly>", "<sep>", "<s>", "</s>", "<pad>", "<od>", "</od>", "<ground>", "<obj>", "<box>"),
    *("cat", "a red car", " the image", "it", "\n", " ", "é", "漢字", "<", ">", "<loc_", "loc_5>", "<loc_x>"),
    *("<loc_0>", "<loc_999>", "<loc_1000>", "<loc_٣>", "<loc_12345>", "<unk>", "\u2028", "\x1f", "<and>"),
)
ROUNDS = 20_000


@pytest.fixture(scope="module")
def reference() -> Any:
    from types import SimpleNamespace  # noqa: PLC0415

    from transformers.models.florence2.processing_florence2 import (  # noqa: PLC0415 - needs transformers
        Florence2PostProcessor,
        Florence2Processor,
    )

    kinds = ("ocr", "pure_text", "description_with_bboxes", "polygons", "bboxes")
    config: dict[str, Any] = {kind: {} for kind in (*kinds, "description_with_bboxes_or_polygons")}
    config["phrase_grounding"] = {"banned_grounding_tokens": sorted(NOT_THINGS)}
    processor = Florence2Processor.__new__(Florence2Processor)
    processor.post_processor = Florence2PostProcessor(config, SimpleNamespace(all_special_tokens=[]))
    made = {spec.token: _kind(spec) for spec in TASKS.values()}
    processor.tasks_answer_post_processing_type = made
    return processor


def _kind(spec: TaskSpec) -> str:
    return {
        "text": "pure_text",
        "boxes": "description_with_bboxes",
        "proposals": "bboxes",
        "phrases": "phrase_grounding",
        "quads": "ocr",
        "polygons": "polygons",
        "boxes or polygons": "description_with_bboxes_or_polygons",
    }[spec.gives]


def test_the_table_of_tasks_is_the_references() -> None:
    """Tokens, prompts and kinds of answers, as its constructor sets them up."""
    from types import SimpleNamespace  # noqa: PLC0415
    from unittest.mock import patch  # noqa: PLC0415

    from transformers.models.florence2 import processing_florence2 as module  # noqa: PLC0415

    tokenizer = SimpleNamespace(all_special_tokens=[], image_token="<image>", image_token_id=5)
    with patch.object(module.ProcessorMixin, "__init__", lambda *_, **__: None):
        theirs = module.Florence2Processor(SimpleNamespace(image_seq_length=5), tokenizer)
    ours = {spec.token: spec for spec in TASKS.values() if spec.token != "<VQA>"}
    assert theirs.tasks_answer_post_processing_type == {token: _kind(spec) for token, spec in ours.items()}
    prompts = {**theirs.task_prompts_without_inputs, **theirs.task_prompts_with_input}
    assert prompts == {token: spec.prompt for token, spec in ours.items()}
    assert {t for t, s in ours.items() if s.takes} == set(theirs.task_prompts_with_input)


def as_reference(places: list[dict[str, Any]], spec: TaskSpec) -> Any:
    """Our places in the form of transformers' answers."""
    boxes = [place for place in places if "box" in place]
    shapes = [place for place in places if "polygons" in place]
    if spec.gives == "boxes or polygons":
        return {
            "bboxes": [place["box"] for place in boxes],
            "bboxes_labels": [place["label"] for place in boxes],
            "polygons": [place["polygons"] for place in shapes],
            "polygons_labels": [place["label"] for place in shapes],
        }
    key, ours = {"quads": ("quad_boxes", "quad"), "polygons": ("polygons", "polygons")}.get(
        spec.gives, ("bboxes", "box")
    )
    return {key: [place[ours] for place in places], "labels": [place["label"] for place in places]}


def texts(rng: random.Random) -> str:
    pieces = []
    for _ in range(rng.randrange(1, 14)):
        kind = rng.random()
        if kind < 0.5:
            count = rng.choice((1, 2, 3, 4, 4, 4, 5, 8, 8, 9))
            pieces.append("".join(f"<loc_{rng.randrange(1000)}>" for _ in range(count)))
        elif kind < 0.6:
            pieces.append(rng.choice(("cat", "a dog", "the image")))
        else:
            pieces.append(rng.choice(PIECES))
    return "".join(pieces)


@pytest.mark.parametrize("task", [name for name, spec in TASKS.items() if spec.gives != "text"])
def test_places_are_the_references(reference: Any, task: str) -> None:
    spec, rng, found = TASKS[task], random.Random(task), 0
    for _ in range(ROUNDS):
        text = texts(rng)
        size = rng.choice(((640, 480), (1, 1), (4032, 3024), (333, 777), (8192, 32)))
        ours = find_places(text, spec.gives, size)
        theirs = reference.post_process_generation(text=text, task=spec.token, image_size=size)
        assert as_reference(ours, spec) == theirs[spec.token], (text, size)
        found += len(ours)
    assert found > ROUNDS / 4

"""Every task against transformers: the tokens of the answer, and what is read out of it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hailo_common.inference.model_dir import ModelDir
from hailo_florence.api.replies import as_reference
from hailo_florence.engine import FlorenceEngine, make_engine
from hailo_florence.model.places import NOT_THINGS
from hailo_florence.model.preprocess import read_image_settings
from hailo_florence.protocol import TASKS, FlorenceRequest, FlorenceResult
from tests.hailo_florence.cases import DATA, formula_image
from tests.oracle import PICTURES

if TYPE_CHECKING:
    from tests.oracle.reference import Reference

pytestmark = pytest.mark.oracle
TEXTS = ("a red cat", "Ein Bär, der  tanzt.", "x", "the cat sat <loc_5> on the </s> mat")
KINDS = (
    *("ocr", "pure_text", "description_with_bboxes", "polygons", "bboxes"),
    "description_with_bboxes_or_polygons",
)
SIZE = (517, 389)


@pytest.fixture(scope="module", params=["places", "b"])
def both(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[FlorenceEngine, Reference, int]]:
    """An engine, transformers on the same weights, and the side of an image."""
    from tests.oracle.reference import Reference  # noqa: PLC0415 - needs torch
    from training.florence.random_model import SIZES, write_random_model  # noqa: PLC0415

    folder, model = DATA / "florence-random-places", None
    if request.param == "b":
        folder = tmp_path_factory.mktemp("model")
        size = replace(SIZES["b"], locations=1000, positions=300, vocabulary=0)
        model = write_random_model(folder, size, 11)
    reference = Reference(folder, model)
    config: dict[str, Any] = {kind: {} for kind in KINDS}
    config["phrase_grounding"] = {"banned_grounding_tokens": sorted(NOT_THINGS)}
    reference.processor.post_processor.parse_task_config = config
    reference.processor.post_processor.banned_grounding_tokens = set(NOT_THINGS)
    with make_engine({"model_dir": str(folder), "threads": 1}) as engine:
        engine.load()
        yield engine, reference, side(folder)


def side(folder: Path) -> int:
    return read_image_settings(ModelDir(folder)).target.width


def asked(task: str, rng: random.Random) -> tuple[FlorenceRequest, str]:
    """A request and the prompt that people write for transformers."""
    spec = TASKS[task]
    text = region = None
    given = ""
    if spec.takes == "text":
        given = text = rng.choice(TEXTS[:3])
    if spec.takes == "region":
        region = tuple(rng.randrange(1000) for _ in range(4))
        given = "".join(f"<loc_{step}>" for step in region)
    request = FlorenceRequest(task=task, question=text, region=region, size=SIZE, max_length=40)
    return request, f"{spec.token}{given}"


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("task", TASKS)
def test_tokens_and_places_are_the_references(
    both: tuple[FlorenceEngine, Reference, int], task: str, beams: int
) -> None:
    engine, reference, width = both
    rng = random.Random(task)
    search: dict[str, Any] = {"num_beams": beams}
    if beams > 1:
        search["early_stopping"] = reference.model.generation_config.early_stopping
    for number in range(PICTURES // beams):
        image = formula_image(width, number)
        request, prompt = asked(task, rng)
        *events, result = engine.run(replace(request, num_beams=beams), [image])
        assert isinstance(result, FlorenceResult)
        assert [event for event in events if isinstance(event, int)] == reference.generate(
            image, prompt, max_length=43, **search
        )
        check_reading(reference, task, result)


@pytest.mark.parametrize("beams", [2, 3, 5])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"early_stopping": False, "length_penalty": 2.0},
        {"early_stopping": "never", "length_penalty": -0.5, "no_repeat_ngram_size": 2},
        {"early_stopping": "never", "length_penalty": 1.5, "repetition_penalty": 1.3},
        {"early_stopping": False, "eos_token_id": [2, 270, 271, 280, 300, 301, 302]},
        {"min_length": 9, "early_stopping": True, "forced_eos_token_id": None},
    ],
    ids=str,
)
def test_beams_are_the_references(
    both: tuple[FlorenceEngine, Reference, int], beams: int, settings: dict[str, Any]
) -> None:
    from transformers import GenerationConfig  # noqa: PLC0415

    engine, reference, width = both
    values = settings | {"eos_token_id": settings.get("eos_token_id", [2, 5, 200, 210, 220, 230])}
    before, theirs = engine._generation_config, reference.model.generation_config
    reference.model.generation_config = GenerationConfig.from_dict(theirs.to_dict() | values)
    engine._generation_config = changed(before, values)
    try:
        for number, longest in enumerate((8, 12, 20) if "min_length" in values else (1, 4, 12, 20)):
            image = formula_image(width, number)
            request = FlorenceRequest(task="caption", max_length=longest, num_beams=beams)
            *events, _ = engine.run(request, [image])
            expected = reference.generate(
                image,
                "<CAPTION>",
                max_length=longest + 3,
                num_beams=beams,
                early_stopping=values.get("early_stopping", theirs.early_stopping),
            )
            if "forced_eos_token_id" in values and expected[-1] not in values["eos_token_id"]:
                expected.pop()
            assert [event for event in events if isinstance(event, int)] == expected
    finally:
        engine._generation_config, reference.model.generation_config = before, theirs


def changed(rules: Any, values: dict[str, Any]) -> Any:
    """The engine's rules with transformers' settings."""
    names = {
        "eos_token_id": "eos",
        "no_repeat_ngram_size": "no_repeat_ngram",
        "forced_eos_token_id": "forced_eos",
    }
    made = {names.get(key, key): value for key, value in values.items()}
    made["eos"] = tuple(made["eos"])
    return replace(rules, **made)


def check_reading(reference: Reference, task: str, result: FlorenceResult) -> None:
    token = TASKS[task].token
    theirs = reference.processor.post_process_generation(text=result.raw, task=token, image_size=SIZE)
    assert as_reference(task, result) == theirs[token]

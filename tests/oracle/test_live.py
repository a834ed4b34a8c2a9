"""The engine against transformers, live: fresh random models in every layout, and the demo model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from hailo_florence.engine import FlorenceEngine, make_engine
from tests.hailo_florence import demo
from tests.hailo_florence.cases import DEMO, QUESTIONS, Case, ask, formula_image

if TYPE_CHECKING:
    from tests.oracle.reference import Reference

pytestmark = pytest.mark.oracle
SEED = 20
CASES = [
    Case(number, question, 24, None, "as exported")
    for number in range(3)
    for question in (None, *QUESTIONS[:2])
]


@pytest.fixture(scope="module", params=["a", "b", "c"])
def exported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Reference]:
    """A fresh model, its folder with every layout and variant, and transformers on the same weights."""
    from tests.oracle.reference import Reference  # noqa: PLC0415 - needs torch
    from training.florence.random_model import SIZES, write_random_model  # noqa: PLC0415

    third = replace(
        SIZES["a"], side=96, width=64, layers=(2, 3), heads=4, ffn=96, vocabulary=700, positions=200
    )
    folder = tmp_path_factory.mktemp("exported")
    size = third if request.param == "c" else SIZES[request.param]
    model = write_random_model(folder, size, SEED, split=True, variants=("", "fp16", "int8"))
    return folder, Reference(folder, model)


@pytest.fixture(scope="module")
def truth(exported: tuple[Path, Reference]) -> list[list[int]]:
    """What transformers answers to `CASES`."""
    from tests.oracle.expect import expected  # noqa: PLC0415 - needs torch

    folder, reference = exported
    return [expected(reference, case, image_of(folder, case)) for case in CASES]


def image_of(folder: Path, case: Case) -> Any:
    from hailo_common.inference.model_dir import ModelDir  # noqa: PLC0415
    from hailo_florence.model.preprocess import read_image_settings  # noqa: PLC0415

    return formula_image(read_image_settings(ModelDir(folder)).target.width, case.image)


def loaded(folder: Path, variant: str = "") -> FlorenceEngine:
    engine = make_engine({"model_dir": str(folder), "variant": variant, "threads": 1})
    engine.load()
    return engine


def answers(folder: Path, variant: str = "") -> Iterator[list[int]]:
    with loaded(folder, variant) as engine:
        for case in CASES:
            yield ask(engine, case.request(), image_of(folder, case))[0]


def test_merged(exported: tuple[Path, Reference], truth: list[list[int]]) -> None:
    assert list(answers(exported[0])) == truth


def test_split(exported: tuple[Path, Reference], truth: list[list[int]]) -> None:
    merged = exported[0] / "onnx" / "decoder_model_merged.onnx"
    aside = merged.rename(merged.with_suffix(".aside"))
    fp16 = merged.with_name("decoder_model_merged_fp16.onnx")
    int8 = merged.with_name("decoder_model_merged_int8.onnx")
    hidden = [path.rename(path.with_suffix(".aside")) for path in (fp16, int8)]
    try:
        assert list(answers(exported[0])) == truth
    finally:
        for path in (aside, *hidden):
            path.rename(path.with_suffix(".onnx"))


@pytest.mark.parametrize(("variant", "tolerance"), [("", 2e-4), ("fp16", 0.1), ("int8", 1.5)])
def test_scores_after_teacher_forcing(
    exported: tuple[Path, Reference], truth: list[list[int]], variant: str, tolerance: float
) -> None:
    """The scores of every step, each fed transformers' own tokens, in units of the scores' spread."""
    folder, reference = exported
    with loaded(folder, variant) as engine:
        for case, tokens in zip(CASES[:3], truth, strict=False):
            ours = forced(engine, case, image_of(folder, case), [2, *tokens[:-1]])
            theirs = reference.scores(image_of(folder, case), case.prompt, [2, *tokens[:-1]])
            assert np.abs(ours - theirs).max() <= tolerance * theirs.std()


def forced(engine: FlorenceEngine, case: Case, image: Any, tokens: list[int]) -> Any:
    stages = engine._stages
    assert stages is not None
    ids = engine._prompts.encode("caption" if case.question is None else "vqa", case.question)
    decoding = stages.decoder.start(stages.text.encode(stages.vision.encode(image), ids))
    return np.stack([np.array(decoding.step(token)) for token in tokens])


@pytest.mark.parametrize(("beams", "pictures"), [(1, 200), (3, 100)])
def test_demo_model(beams: int, pictures: int) -> None:
    """A caption and an answer for each of so many pictures: token for token."""
    from tests.hailo_florence.test_golden import case_of, rows  # noqa: PLC0415
    from tests.oracle.expect import expected  # noqa: PLC0415 - needs torch
    from tests.oracle.reference import Reference  # noqa: PLC0415

    reference, images = Reference(DEMO), list(demo.images())
    cases = [case for case in map(case_of, rows("demo")) if case.image < pictures]
    assert len(cases) == 2 * pictures
    search = {"num_beams": beams}
    if beams > 1:
        search["early_stopping"] = reference.model.generation_config.early_stopping
    with loaded(DEMO) as engine:
        for case in cases:
            image = images[case.image]
            tokens, result = ask(engine, case.request() | {"num_beams": beams}, image)
            assert tokens == expected(reference, case, image, **search), case
            assert result["text"] == reference.text(tokens)

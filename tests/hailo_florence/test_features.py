"""What the vision encoder made of an image is used again: the same answer, for the same owner, in bounds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hailo_florence.engine import FlorenceEngine, make_engine
from hailo_florence.protocol import FlorenceRequest, FlorenceResult
from tests.hailo_florence.cases import DEMO

FEATURES = 65 * 128 * 4
"""Bytes of an image's features in the demo model."""


def run(engine: FlorenceEngine, image: int, **fields: Any) -> FlorenceResult:
    pixels = np.random.default_rng(image).integers(0, 256, (128, 128, 3), np.uint8)
    request = FlorenceRequest(**{"task": "caption", "max_length": 20, **fields})
    *_, result = engine.run(request, [pixels])
    assert isinstance(result, FlorenceResult)
    return result


def loaded(**options: Any) -> FlorenceEngine:
    engine = make_engine({"model_dir": str(DEMO), "threads": 1, **options})
    engine.load()
    return engine


def test_the_second_time_it_is_not_encoded_and_the_answer_is_the_same() -> None:
    with loaded() as engine, loaded(picture_cache_mb=0) as forgetful:
        first, second = run(engine, 1), run(engine, 1)
        assert (first.cached, second.cached) == (False, True)
        assert (second.text, second.raw) == (first.text, first.raw)
        assert second.vision_seconds < first.vision_seconds
        asked = {"task": "vqa", "question": "What color is the circle?"}
        question, anew = run(engine, 1, **asked), run(forgetful, 1, **asked)
        assert (question.cached, anew.cached) == (True, False)
        assert question.raw == anew.raw
        assert not run(engine, 2).cached
        assert not run(forgetful, 1).cached


def test_another_owner_learns_nothing_of_it() -> None:
    with loaded() as engine:
        assert not run(engine, 1, owner="one").cached
        assert not run(engine, 1, owner="two").cached
        assert run(engine, 1, owner="one").cached


def test_the_longest_unused_goes_when_there_is_no_room(monkeypatch: Any) -> None:
    monkeypatch.setattr("hailo_florence.engine._MIB", 3 * FEATURES)
    with loaded(picture_cache_mb=1) as engine:
        for image in (1, 2, 3):
            run(engine, image)
        assert run(engine, 1).cached
        run(engine, 4)
        assert run(engine, 1).cached
        assert not run(engine, 2).cached
        assert engine._features.held == 3 * FEATURES


def test_nothing_is_kept_of_an_engine_that_is_closed(tmp_path: Path) -> None:
    engine = loaded()
    run(engine, 1)
    engine.close()
    assert engine._features.held == 0

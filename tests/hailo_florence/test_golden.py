"""Token for token what transformers answered, as recorded by `tests/oracle/make_golden.py`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hailo_common.inference.model_dir import ModelDir
from hailo_florence.model.preprocess import read_image_settings
from tests.hailo_florence import demo
from tests.hailo_florence.cases import DEMO, FOLDERS, GOLDEN, SETTINGS, Case, ask, formula_image
from tests.hailo_florence.conftest import Load

FIELDS = ("image", "question", "max_length", "min_length", "settings")


def rows(name: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads((GOLDEN / f"florence-{name}.json").read_text())["rows"]
    return listed


def case_of(row: dict[str, Any]) -> Case:
    return Case(**{field: row[field] for field in FIELDS})


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("name", FOLDERS)
def test_random_models(load: Load, name: str, settings: str) -> None:
    engine = load(FOLDERS[name], SETTINGS[settings])
    side = read_image_settings(ModelDir(FOLDERS[name])).target.width
    chosen = [row for row in rows(name) if row["settings"] == settings]
    assert chosen
    for row in chosen:
        case = case_of(row)
        tokens, result = ask(engine, case.request(), formula_image(side, case.image))
        assert tokens == row["tokens"], case
        assert result["text"] == row.get("text", result["text"]), case


def test_demo_model(load: Load) -> None:
    engine = load(DEMO)
    images = list(demo.images())
    listed = rows("demo")
    assert len(images) == demo.IMAGES
    assert len(listed) == 2 * demo.IMAGES
    for row in listed:
        case = case_of(row)
        tokens, result = ask(engine, case.request(), images[case.image])
        assert (tokens, result["text"]) == (row["tokens"], row["text"]), case

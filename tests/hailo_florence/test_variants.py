"""The layouts and precisions a folder may have: merged or split decoder, half precision, 8 bit."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hailo_common.errors import ModelMissing
from hailo_common.inference.sampling import Logits
from hailo_florence.engine import FlorenceEngine, make_engine
from hailo_florence.onnx.decoder import OnnxDecoder, OnnxDecoding
from tests.hailo_florence.cases import DATA, FOLDERS, QUESTIONS, ask, formula_image, with_settings
from tests.hailo_florence.conftest import Load

A = FOLDERS["random-a"]
VARIANTS = DATA / "florence-variants" / "onnx"
IMAGES = [formula_image(64, number) for number in range(3)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """random-a with its files in every precision."""
    made = with_settings(A, tmp_path_factory.mktemp("variants"), {})
    for path in VARIANTS.iterdir():
        shutil.copy(path, made / "onnx")
    return made


def requests() -> list[dict[str, Any]]:
    asked = [{"task": "vqa", "question": question, "max_length": 20} for question in QUESTIONS[:2]]
    return [{"task": "caption", "max_length": 20}, *asked]


def answers(engine: FlorenceEngine) -> list[list[int]]:
    return [ask(engine, request, image)[0] for request in requests() for image in IMAGES]


def scores(engine: FlorenceEngine, tokens: list[int]) -> Logits:
    stages = engine._stages
    assert stages is not None
    hidden = stages.text.encode(stages.vision.encode(IMAGES[0]), engine._prompts.encode("caption"))
    decoding = stages.decoder.start(hidden)
    return np.stack([np.array(decoding.step(token)) for token in tokens])


@pytest.mark.parametrize("backend_file", ["decoder_model", "decoder_with_past_model"])
def test_half_a_split_decoder_is_missing_a_file(tmp_path: Path, backend_file: str) -> None:
    split = with_settings(A, tmp_path, {})
    (split / "onnx" / "decoder_model_merged.onnx").unlink()
    (split / "onnx" / f"{backend_file}.onnx").unlink()
    with pytest.raises(ModelMissing, match=f"{backend_file}.onnx: file is missing"):
        make_engine({"model_dir": str(split)}).load()


def test_split_equals_merged(load: Load, tmp_path: Path) -> None:
    split = with_settings(A, tmp_path, {})
    (split / "onnx" / "decoder_model_merged.onnx").unlink()
    assert answers(load(split)) == answers(load(A))


@pytest.mark.parametrize(("variant", "tolerance"), [("fp16", 0.05), ("q4", 0.05), ("int8", 1.0)])
def test_precisions(load: Load, folder: Path, variant: str, tolerance: float) -> None:
    tokens = [2, *answers(load(A))[0][:10]]
    expected = scores(load(folder), tokens)
    made = scores(load(folder, variant=variant), tokens)
    assert made.dtype == np.float32
    assert 0 < np.abs(made - expected).max() < tolerance * expected.std()
    assert all(len(answer) > 2 for answer in answers(load(folder, variant=variant)))


def test_precisions_may_be_mixed(load: Load, folder: Path, tmp_path: Path) -> None:
    mixed = with_settings(folder, tmp_path, {})
    for name in ("embed_tokens_q4", "decoder_model_merged_q4", "encoder_model_int8"):
        keep = mixed / "onnx" / f"{name}.onnx"
        keep.rename(keep.with_name(f"{name.rpartition('_')[0]}.onnx"))
    tokens = [2, *answers(load(A))[0][:5]]
    made, expected = scores(load(mixed), tokens), scores(load(A), tokens)
    assert np.abs(made - expected).max() < expected.std()


def test_the_cache_of_the_image_is_kept_as_it_is(load: Load) -> None:
    """Later steps answer with empty encoder caches: the first step's are fed on, uncopied."""
    decoder, hidden = parts(load(A))
    decoding = decoder.start(hidden)
    decoding.step(2)
    feeds = dict(fed(decoding))
    decoding.step(0)
    for name, value in fed(decoding).items():
        if ".encoder." in name:
            assert value is feeds[name]
            assert value.shape[2] == hidden.shape[1]
        elif ".decoder." in name:
            assert value.shape[2] == feeds[name].shape[2] + 1 == 2


def test_answers_do_not_share_a_cache(load: Load) -> None:
    decoder, hidden = parts(load(A))
    alone = [decoder.start(hidden).step(2) for _ in range(2)]
    one, other = decoder.start(hidden), decoder.start(hidden[:, ::-1].copy())
    first = one.step(2)
    other.step(2)
    second = one.step(0)
    np.testing.assert_array_equal(alone[0], first)
    fresh = decoder.start(hidden)
    fresh.step(2)
    np.testing.assert_array_equal(fresh.step(0), second)


def parts(engine: FlorenceEngine) -> tuple[OnnxDecoder, Any]:
    stages = engine._stages
    assert stages is not None
    assert isinstance(stages.decoder, OnnxDecoder)
    return stages.decoder, stages.text.encode(stages.vision.encode(IMAGES[0]), [0, 5, 6, 2])


def fed(decoding: OnnxDecoding) -> dict[str, Any]:
    assert decoding._feeds is not None
    return decoding._feeds

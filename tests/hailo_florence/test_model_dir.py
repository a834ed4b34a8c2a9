"""Model folders that are incomplete, corrupt or mixed up: what is raised, and that it names the file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hailo_common.errors import ModelError, ModelMissing
from hailo_common.inference.model_dir import ModelDir
from hailo_florence.engine import make_engine
from hailo_florence.model.generation import read_generation_config
from tests.hailo_florence.cases import FOLDERS, ask, formula_image, with_settings

A, B = FOLDERS["random-a"], FOLDERS["random-b"]
ONNX = ("vision_encoder", "embed_tokens", "encoder_model", "decoder_model_merged")
JSON = ("config.json", "preprocessor_config.json", "tokenizer.json")
Spoil = Callable[[Path], object]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    folder = with_settings(A, tmp_path / "model", {})
    for path in (folder / "onnx").iterdir():
        if path.stem not in ONNX:
            path.unlink()
    return folder


def load(folder: Path) -> dict[str, Any]:
    with make_engine({"model_dir": str(folder), "threads": 1}) as engine:
        return engine.load().to_json()


def edit(folder: Path, name: str, **values: Any) -> None:
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize("name", [*JSON, *(f"onnx/{part}.onnx" for part in ONNX)])
def test_missing_file(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(ModelMissing, match=Path(name).name.replace(".", r"\.")):
        load(copy)


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="no such model folder"):
        load(tmp_path / "nothing")


def test_generation_settings_may_be_missing(copy: Path) -> None:
    (copy / "generation_config.json").unlink()
    assert load(copy)
    assert read_generation_config(ModelDir(copy)).eos == (2,)


SPOILS: dict[str, Spoil] = {
    "empty": lambda path: path.write_bytes(b""),
    "page": lambda path: path.write_text("<!DOCTYPE html><html><body>404</body></html>"),
    "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "noise": lambda path: path.write_bytes(bytes(range(256)) * 64),
}


@pytest.mark.parametrize("spoil", SPOILS)
@pytest.mark.parametrize("name", [*JSON, "generation_config.json", *(f"onnx/{part}.onnx" for part in ONNX)])
def test_corrupt_file(copy: Path, name: str, spoil: str) -> None:
    SPOILS[spoil](copy / name)
    with pytest.raises(ModelError, match=Path(name).name.replace(".", r"\.") + ".*: expected"):
        load(copy)


@pytest.mark.parametrize("part", ONNX)
def test_part_of_another_model(copy: Path, part: str) -> None:
    shutil.copyfile(B / "onnx" / f"{part}.onnx", copy / "onnx" / f"{part}.onnx")
    with pytest.raises(ModelError, match="expected"):
        load(copy)


def test_swapped_parts(copy: Path) -> None:
    onnx = copy / "onnx"
    (onnx / "embed_tokens.onnx").rename(onnx / "x")
    (onnx / "encoder_model.onnx").rename(onnx / "embed_tokens.onnx")
    (onnx / "x").rename(onnx / "encoder_model.onnx")
    with pytest.raises(ModelError, match=r"\.onnx: expected an input named"):
        load(copy)


def test_image_size_of_another_model(copy: Path) -> None:
    edit(copy, "preprocessor_config.json", size={"height": 200, "width": 100})
    with pytest.raises(ModelError, match=r"100 x 200|vision encoder"):
        load(copy)


def test_tokenizer_of_a_larger_model(copy: Path) -> None:
    source = json.loads((copy / "tokenizer.json").read_text())
    token = {**source["added_tokens"][-1], "id": 9000, "content": "<more>"}
    edit(copy, "tokenizer.json", added_tokens=[*source["added_tokens"], token])
    source["model"]["vocab"]["more"] = 9000
    edit(copy, "tokenizer.json", model=source["model"])
    with pytest.raises(ModelError, match=r"tokenizer\.json: expected at most"):
        load(copy)


@pytest.mark.parametrize(
    "text",
    [
        {"max_position_embeddings": 0},
        {"d_model": 33},
        {"decoder_attention_heads": None},
        {"max_position_embeddings": 9},
    ],
)
def test_impossible_config(copy: Path, text: dict[str, Any]) -> None:
    config = json.loads((copy / "config.json").read_text())
    edit(copy, "config.json", text_config=config["text_config"] | text)
    with pytest.raises(ModelError, match=r"config\.json: expected"):
        load(copy)


@pytest.mark.parametrize(
    "values",
    [
        {"eos_token_id": None},
        {"eos_token_id": "2"},
        {"eos_token_id": [2, True]},
        {"decoder_start_token_id": -1},
        {"no_repeat_ngram_size": 1.5},
        {"repetition_penalty": 0},
        {"bad_words_ids": [5]},
        {"suppress_tokens": ["a"]},
        {"min_length": "long"},
    ],
)
def test_impossible_generation_settings(copy: Path, values: dict[str, Any]) -> None:
    edit(copy, "generation_config.json", **values)
    config = json.loads((copy / "config.json").read_text())
    text = {key: value for key, value in config["text_config"].items() if key != "eos_token_id"}
    (copy / "config.json").write_text(json.dumps({**config, "eos_token_id": None, "text_config": text}))
    with pytest.raises(ModelError, match=r"generation_config\.json: expected"):
        read_generation_config(ModelDir(copy))


def test_a_folder_whose_generation_settings_name_another_models_ids(copy: Path) -> None:
    """As transformers 4.46 saves Microsoft's own classes: taken at its word, no answer ever ends."""
    edit(copy, "generation_config.json", bos_token_id=2, eos_token_id=1, pad_token_id=0)
    rules = read_generation_config(ModelDir(copy))
    assert rules.eos == (1, 2)
    assert (rules.bos, rules.pad) == (0, 1)
    with make_engine({"model_dir": str(copy), "threads": 1}) as engine:
        engine.load()
        tokens, _ = ask(engine, {"task": "caption", "max_length": 60}, formula_image(64, 1))
    with make_engine({"model_dir": str(A), "threads": 1}) as engine:
        engine.load()
        assert ask(engine, {"task": "caption", "max_length": 60}, formula_image(64, 1))[0] == tokens
    assert tokens[-1] == 2


def test_an_answer_ends_at_the_token_that_is_forced_at_its_end(copy: Path) -> None:
    edit(copy, "generation_config.json", eos_token_id=2, forced_eos_token_id=5)
    assert read_generation_config(ModelDir(copy)).eos == (2, 5)


def test_a_snapshot_of_links_is_a_model_folder(copy: Path, tmp_path: Path) -> None:
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "0123abcd"
    blobs.mkdir()
    snapshot.parent.mkdir()
    copy.rename(snapshot)
    for number, path in enumerate([*snapshot.glob("*.json"), *(snapshot / "onnx").iterdir()]):
        path.rename(blobs / str(number))
        path.symlink_to(blobs / str(number))
    assert load(snapshot)["limits"]["image_tokens"] == 17


def test_a_link_leaves_no_folder_but_a_snapshot(copy: Path, tmp_path: Path) -> None:
    """Threat E2: what a link shows would be read as the model's, and its sum be told."""
    outside = tmp_path / "keys"
    outside.write_text((copy / "config.json").read_text())
    (copy / "config.json").unlink()
    (copy / "config.json").symlink_to(outside)
    with pytest.raises(ModelError, match=r"config\.json: expected a regular file of this folder"):
        load(copy)


@pytest.mark.parametrize("name", ["config.json", "onnx/vision_encoder.onnx", "onnx/other.data"])
@pytest.mark.parametrize("target", ["/dev/zero", "nowhere"])
def test_devices_and_broken_links_are_refused(copy: Path, name: str, target: str) -> None:
    (copy / name).unlink(missing_ok=True)
    (copy / name).symlink_to(target)
    with pytest.raises(ModelError, match=r"expected a regular file"):
        load(copy)


def test_files_beside_the_json(copy: Path) -> None:
    for path in (copy / "onnx").iterdir():
        path.rename(copy / path.name)
    (copy / "onnx").rmdir()
    assert load(copy)["limits"]["image_tokens"] == 17


@pytest.mark.parametrize(
    ("there", "variant", "found"),
    [
        (["p.onnx", "p_fp16.onnx"], "", "p.onnx"),
        (["p.onnx", "p_fp16.onnx"], "fp16", "p_fp16.onnx"),
        (["p.onnx", "p_fp16.onnx"], "q4", "p.onnx"),
        (["p_int8.onnx"], "", "p_int8.onnx"),
        (["p_q4.onnx"], "quantized", "p_q4.onnx"),
        (["p_bnb4.onnx"], "", None),
    ],
)
def test_variants_are_preferences(tmp_path: Path, there: list[str], variant: str, found: str | None) -> None:
    (tmp_path / "onnx").mkdir()
    for name in there:
        (tmp_path / "onnx" / name).touch()
    path = ModelDir(tmp_path, variant).find_onnx("p")
    assert (path and path.name) == found


def test_unknown_variant() -> None:
    with pytest.raises(ModelError, match="variant must be one of"):
        make_engine({"model_dir": "x", "variant": "q8"})

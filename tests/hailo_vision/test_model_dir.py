"""Model folders that are incomplete, corrupt or mixed up: what is raised, and that it names the file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hailo_common.errors import ModelError, ModelMissing, library_reason
from hailo_common.inference.model_dir import ModelDir
from hailo_vision.onnx.engine import make_onnx_engine
from hailo_vision.onnx.generate import GenerationConfig, read_generation_config
from tests.hailo_florence.cases import with_settings
from tests.hailo_florence.test_model_dir import SPOILS, edit
from tests.hailo_vision.conversations import FOLDERS

A, B = FOLDERS["random-a"], FOLDERS["random-b"]
ONNX = ("vision_encoder", "embed_tokens", "decoder_model_merged")
JSON = ("config.json", "preprocessor_config.json", "tokenizer.json", "chat_template.json")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return with_settings(A, tmp_path / "model", {})


def load(folder: Path) -> dict[str, Any]:
    with make_onnx_engine({"model_dir": str(folder), "threads": 1}) as engine:
        return engine.load().to_json()


@pytest.mark.parametrize("name", [*JSON, *(f"onnx/{part}.onnx" for part in ONNX)])
def test_missing_file(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(ModelMissing, match=Path(name).name.replace(".", r"\.")):
        load(copy)


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="no such model folder"):
        load(tmp_path / "nothing")


@pytest.mark.parametrize("name", ["generation_config.json", "tokenizer_config.json"])
def test_files_that_may_be_missing(copy: Path, name: str) -> None:
    (copy / name).unlink()
    assert load(copy)


@pytest.mark.parametrize("spoil", SPOILS)
@pytest.mark.parametrize("name", [*JSON, "generation_config.json", *(f"onnx/{part}.onnx" for part in ONNX)])
def test_corrupt_file(copy: Path, name: str, spoil: str) -> None:
    SPOILS[spoil](copy / name)
    with pytest.raises(ModelError, match=Path(name).name.replace(".", r"\.") + ".*: expected"):
        load(copy)


def renamed_operator(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"Softmax", b"Softmix"))


def unknown_tokenizer(path: Path) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), "model": {"type": "Runes"}}))


@pytest.mark.parametrize(
    ("name", "spoil", "reason"),
    [
        ("onnx/decoder_model_merged.onnx", renamed_operator, "says: .*Softmix"),
        (
            "onnx/vision_encoder.onnx",
            lambda path: path.write_bytes(b"no graph"),
            "expected an ONNX model; download it again",
        ),
        ("tokenizer.json", unknown_tokenizer, "says: .+"),
        (
            "chat_template.json",
            lambda path: path.write_text('{"chat_template": "{% if %}"}'),
            "says: Expected",
        ),
    ],
)
def test_the_library_s_own_reason_is_told(
    copy: Path, name: str, spoil: Callable[[Path], None], reason: str
) -> None:
    spoil(copy / name)
    with pytest.raises(ModelError, match=reason):
        load(copy)


def test_a_library_s_reason_is_one_short_line() -> None:
    assert library_reason(ValueError("first\n\x1b[31m second" + "x" * 1000))[:20] == "first [31m secondxxx"
    assert len(library_reason(ValueError("x" * 1000))) == 300
    assert library_reason(KeyError()) == "KeyError"


@pytest.mark.parametrize("part", ONNX)
def test_part_of_another_model(copy: Path, part: str) -> None:
    shutil.copyfile(B / "onnx" / f"{part}.onnx", copy / "onnx" / f"{part}.onnx")
    with pytest.raises(ModelError, match=r"\.onnx: expected"):
        load(copy)


@pytest.mark.parametrize(("one", "other"), [(0, 1), (0, 2), (1, 2)])
def test_swapped_parts(copy: Path, one: int, other: int) -> None:
    left, right = (copy / "onnx" / f"{ONNX[number]}.onnx" for number in (one, other))
    left.rename(copy / "x")
    right.rename(left)
    (copy / "x").rename(right)
    with pytest.raises(ModelError, match=r"\.onnx: expected an input named"):
        load(copy)


def test_a_decoder_of_florence(copy: Path) -> None:
    foreign = A.parent / "florence-random-a" / "onnx" / "decoder_model_merged.onnx"
    shutil.copyfile(foreign, copy / "onnx" / "decoder_model_merged.onnx")
    with pytest.raises(ModelError, match=r"decoder_model_merged\.onnx: expected"):
        load(copy)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"model_type": "florence2"}, "'qwen2_vl'"),
        ({"model_type": None}, "'qwen2_vl'"),
        ({"max_position_embeddings": 0}, "above 0 for 'max_position_embeddings'"),
        ({"max_position_embeddings": 20}, "more than"),
        ({"hidden_size": "48"}, "'hidden_size'"),
        ({"num_attention_heads": 5}, "divides"),
        ({"num_key_value_heads": 0}, "divides"),
        ({"image_token_id": None}, "'image_token_id'"),
        ({"vision_config": None}, "'vision_config'"),
        ({"text_config": 5}, "'text_config'"),
    ],
)
def test_impossible_config(copy: Path, values: dict[str, Any], words: str) -> None:
    edit(copy, "config.json", **values)
    with pytest.raises(ModelError, match=rf"config\.json: expected .*{words}"):
        load(copy)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"model_type": "qwen3_vl"}, r"config\.json: .* lack DeepStack, .*; use its GGUF files"),
        ({"num_key_value_heads": 4}, r"decoder_model_merged\.onnx: expected .* of 4 heads of 12 numbers"),
        ({"image_token_id": 3}, r"tokenizer\.json: expected an added token 3"),
    ],
)
def test_config_of_another_model(copy: Path, values: dict[str, Any], words: str) -> None:
    edit(copy, "config.json", **values)
    with pytest.raises(ModelError, match=words):
        load(copy)


@pytest.mark.parametrize(
    "values", [{"patch_size": 7}, {"merge_size": 1}, {"temporal_patch_size": 1}, {"image_mean": None}]
)
def test_image_settings_of_another_model(copy: Path, values: dict[str, Any]) -> None:
    edit(copy, "preprocessor_config.json", **values)
    with pytest.raises(ModelError, match=r"preprocessor_config\.json: expected"):
        load(copy)


def test_a_vision_encoder_that_merges_otherwise(copy: Path) -> None:
    """Both files agree on a merge size, and the graph was made for another."""
    config = json.loads((copy / "config.json").read_text())
    edit(copy, "config.json", vision_config={**config["vision_config"], "spatial_merge_size": 4})
    edit(copy, "preprocessor_config.json", merge_size=4)
    with pytest.raises(ModelError, match="vision encoder: expected"):
        load(copy)


def test_tokenizer_of_a_larger_model(copy: Path) -> None:
    source = json.loads((copy / "tokenizer.json").read_text())
    token = {**source["added_tokens"][-1], "id": 9000, "content": "<more>"}
    edit(copy, "tokenizer.json", added_tokens=[*source["added_tokens"], token])
    with pytest.raises(ModelError, match=r"tokenizer\.json: expected at most 360 tokens"):
        load(copy)


@pytest.mark.parametrize("template", ["{{ raise_exception('no') }}", "{{ messages[0].role }}", "{{ 1 / 0 }}"])
def test_a_template_without_a_place_for_images(copy: Path, template: str) -> None:
    edit(copy, "chat_template.json", chat_template=template)
    with pytest.raises(ModelError, match="chat template: expected"):
        load(copy)


@pytest.mark.parametrize(
    "values",
    [
        {"eos_token_id": "2"},
        {"eos_token_id": [2, True]},
        {"eos_token_id": 99_999},
        {"repetition_penalty": 0},
        {"repetition_penalty": "much"},
    ],
)
def test_impossible_generation_settings(copy: Path, values: dict[str, Any]) -> None:
    edit(copy, "generation_config.json", **values)
    with pytest.raises(ModelError, match=r"generation_config\.json: expected"):
        load(copy)


def test_rules(copy: Path) -> None:
    edit(copy, "generation_config.json", repetition_penalty=1.2)
    made = read_generation_config(ModelDir(copy))
    assert (made.repetition_penalty, made.eos[:2]) == (1.2, (334, 332))
    (copy / "generation_config.json").write_text('{"repetition_penalty": 1.3}')
    assert read_generation_config(ModelDir(copy)) == GenerationConfig((334,), 1.3)
    (copy / "generation_config.json").unlink()
    assert read_generation_config(ModelDir(copy)) == GenerationConfig((334,), 1.0)
    edit(copy, "config.json", eos_token_id=None)
    with pytest.raises(ModelError, match=r"config\.json: expected a token id"):
        read_generation_config(ModelDir(copy))


def test_files_beside_the_json(copy: Path) -> None:
    for path in (copy / "onnx").iterdir():
        path.rename(copy / path.name)
    (copy / "onnx").rmdir()
    assert load(copy)["limits"]["image_tokens_max"] == 24


def test_a_snapshot_of_links_is_a_model_folder(copy: Path, tmp_path: Path) -> None:
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "0123abcd"
    copy.rename(blobs)
    for path in blobs.rglob("*.*"):
        link = snapshot / path.relative_to(blobs)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)
    assert load(snapshot)

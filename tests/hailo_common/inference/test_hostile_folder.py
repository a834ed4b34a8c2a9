"""Threats E2 and E4 of tests/threats.md: what else of a stranger's folder would be followed or believed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from hailo_common.errors import ModelError, ModelMissing
from hailo_common.inference.model_dir import ModelDir, describe
from hailo_common.inference.tokenizer import make_tokenizer

WORDS = {"type": "WordLevel", "vocab": {"a": 0, "[UNK]": 1}, "unk_token": "[UNK]"}


@pytest.mark.parametrize("name", ["config.json", "onnx", "model.hef", "onnx/weights.data", "a/b/c/deep.bin"])
@pytest.mark.parametrize(
    "target", ["keys", "..", "/etc/passwd", "/proc/self/environ", "/dev/zero", "loop", "gone"]
)
def test_a_link_out_of_the_folder(tmp_path: Path, name: str, target: str) -> None:
    (tmp_path / "keys").write_text("{}")
    folder = tmp_path / "model"
    path = folder / name
    path.parent.mkdir(parents=True)
    path.symlink_to(path if target == "loop" else tmp_path / target)
    with pytest.raises(ModelError, match=f"{path}: expected a regular file"):
        ModelDir(folder).check()
    if path.suffix == ".json":
        with pytest.raises(ModelError, match="expected a regular file"):
            ModelDir(folder).json(name)


@pytest.mark.parametrize("name", ["config.json", "onnx/model.onnx"])
def test_a_pipe_is_not_waited_for(tmp_path: Path, name: str) -> None:
    (tmp_path / "onnx").mkdir()
    os.mkfifo(tmp_path / name)
    with pytest.raises(ModelError, match="expected a regular file"):
        ModelDir(tmp_path).check()
    with pytest.raises(ModelError, match="expected a regular file"):
        ModelDir(tmp_path).text(name)


def test_a_folder_of_too_many_files(tmp_path: Path) -> None:
    for number in range(10_001):
        (tmp_path / str(number)).touch()
    with pytest.raises(ModelError, match="at most 10000 files"):
        ModelDir(tmp_path).check()


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a": NaN}',
        '{"a": -Infinity}',
        '{"a": 1e999}',
        '{"a": ' + "9" * 5000 + "}",
        "[]",
        "\0",
        " " * (5 << 20),
    ],
    ids=["deep", "nan", "infinity", "1e999", "digits", "list", "nul", "long"],
)
def test_json_that_is_none_of_a_model(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ModelError, match=r"config\.json: expected"):
        ModelDir(tmp_path).json("config.json")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match=r"config\.json"):
        ModelDir(tmp_path).json("config.json")


@pytest.mark.parametrize(
    "card",
    [
        {"name": "a\x1b]0;owned\x07"},
        {"name": "a\nb"},
        {"name": "x" * 129},
        {"name": ["a"]},
        {"name": 5},
        {"description": "\u202eevil"},
        {"description": "x" * 1001},
        {"description": {"a": 1}},
    ],
    ids=str,
)
def test_a_name_that_is_no_name(tmp_path: Path, card: dict[str, Any]) -> None:
    (tmp_path / "model_card.json").write_text(json.dumps(card))
    with pytest.raises(ModelError, match=r"model_card\.json: expected a name"):
        describe(ModelDir(tmp_path))


@pytest.mark.parametrize("name", ["\x1b[2J", "x" * 500, ["a"], {"a": 1}, 7])
def test_a_name_in_the_config_is_believed_where_it_is_one(tmp_path: Path, name: Any) -> None:
    folder = tmp_path / "toy"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"_name_or_path": name}))
    assert describe(ModelDir(folder))["model"] == "toy"


def tokenizer(**parts: Any) -> dict[str, Any]:
    """The JSON of a tokenizer of two words."""
    return {"version": "1.0", "model": WORDS, "added_tokens": [], **parts}


def replace(pattern: dict[str, str], content: str) -> dict[str, Any]:
    """A normaliser."""
    return {"type": "Replace", "pattern": pattern, "content": content}


@pytest.mark.parametrize(
    "normalizer",
    [
        replace({"String": "a"}, "a" * 1_000_000),
        {"type": "Sequence", "normalizers": [replace({"String": "a"}, "aa")] * 12},
        {"type": "Sequence", "normalizers": [replace({"String": "a"}, "aaaa")] * 3},
        {"type": "Sequence", "normalizers": [{"type": "NFC"}] * 1000},
        {"type": "Prepend", "prepend": "a" * 1000},
        replace({"Regex": "(a+)+" * 1000}, ""),
    ],
    ids=["long", "doubling", "nested", "many", "prepended", "pattern"],
)
def test_a_normaliser_that_makes_much_of_little(normalizer: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=r"tokenizer\.json: expected"):
        make_tokenizer(tokenizer(normalizer=normalizer), "tokenizer.json")


def test_normalisers_in_use_are_taken() -> None:
    """As tokenizers made of SentencePiece models have them."""
    blanks = [{"type": "Prepend", "prepend": "▁"}, replace({"String": " "}, "▁")]
    decoder = {"type": "Sequence", "decoders": [replace({"String": "▁"}, " "), {"type": "Fuse"}]}
    made = make_tokenizer(
        tokenizer(normalizer={"type": "Sequence", "normalizers": blanks}, decoder=decoder), "tokenizer.json"
    )
    assert made.encode("a").ids == [1]

"""Folders of random weights have the names, inputs, outputs and numbers of the published ones.

Sources: the publishers' config.json files, and what clients of the published graphs feed them.
"""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from hailo_common.models.manifest import read_manifest

pytest.importorskip("onnx")

import onnx

pytestmark = pytest.mark.oracle
ROOT = Path(__file__).parents[2]
FLORENCE, CHAT = "florence-2-base-ft-onnx", "qwen2-vl-2b-instruct-onnx"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both folders."""
    pytest.importorskip("torch")
    maker = import_module("training.onnx.as_published")
    out = tmp_path_factory.mktemp("published")
    maker.write_florence(out / FLORENCE)
    maker.write_chat(out / CHAT)
    return out


def shapes(path: Path) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
    """Inputs and outputs of a graph, by name: their sizes, names where they differ."""
    graph = onnx.load(str(path)).graph

    def sizes(item: onnx.ValueInfoProto) -> list[Any]:
        return [each.dim_value or each.dim_param for each in item.type.tensor_type.shape.dim]

    return {each.name: sizes(each) for each in graph.input}, {each.name: sizes(each) for each in graph.output}


@pytest.mark.filterwarnings("default")
def test_every_file_of_the_manifest_and_no_other(made: Path) -> None:
    models = read_manifest(ROOT / "models.manifest")
    for name in (FLORENCE, CHAT):
        found = {path.relative_to(made / name).as_posix() for path in (made / name).rglob("*.*")}
        assert found == {file.path for file in models[name].files}


@pytest.mark.filterwarnings("default")
def test_florence(made: Path) -> None:
    folder = made / FLORENCE
    given, gives = shapes(folder / "onnx/vision_encoder.onnx")
    assert given["pixel_values"][1:] == [3, 768, 768]
    assert gives.keys() == {"image_features"}
    assert json.loads((folder / "preprocessor_config.json").read_text())["image_seq_length"] == 577
    given, gives = shapes(folder / "onnx/decoder_model_merged.onnx")
    kept = {
        f"{layer}.{side}.{kind}"
        for layer in range(6)
        for side in ("decoder", "encoder")
        for kind in ("key", "value")
    }
    assert {f"past_key_values.{name}" for name in kept} | {"use_cache_branch"} < given.keys()
    assert {f"present.{name}" for name in kept} < gives.keys()
    assert gives["logits"][-1] == 51289
    config = json.loads((folder / "config.json").read_text())
    assert config["text_config"]["vocab_size"] == 51289
    numbers = tokens(folder)
    assert [numbers[name] for name in ("<mask>", "<loc_0>", "<loc_999>", "<and>")] == [
        50264,
        50269,
        51268,
        51288,
    ]


@pytest.mark.filterwarnings("default")
def test_chat(made: Path) -> None:
    folder = made / CHAT
    given, gives = shapes(folder / "onnx/decoder_model_merged_q4.onnx")
    assert {f"past_key_values.{layer}.key" for layer in range(28)} < given.keys()
    assert gives["logits"][-1] == 151936
    kinds = {node.op_type for node in onnx.load(str(folder / "onnx/decoder_model_merged_q4.onnx")).graph.node}
    assert "MatMulNBits" in kinds
    numbers = tokens(folder)
    names = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|image_pad|>")
    assert [numbers[name] for name in names] == [151643, 151644, 151645, 151655]
    config = json.loads((folder / "config.json").read_text())
    assert (config["eos_token_id"], config["image_token_id"]) == (151645, 151655)


def tokens(folder: Path) -> dict[str, int]:
    """The special tokens' numbers."""
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    return {each["content"]: each["id"] for each in tokenizer["added_tokens"]}

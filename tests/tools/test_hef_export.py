"""Around the fixed-shape graphs: embeddings, calibration set, manifest; and the graphs of a tiny model.

`tests/data/florence-random-a-hailo` holds what `tools.hef_export` makes of florence-random-a with room
for prompts of 40 tokens; `tests/oracle/test_hailo_graphs.py` keeps it so.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hailo_common.inference.model_dir import ModelDir
from hailo_common.inference.onnx import Graph
from hailo_florence.engine import make_engine
from hailo_florence.model.preprocess import read_image_settings
from tests.hailo_florence.cases import DATA, FOLDERS, ask, formula_image
from tools.hef_export.calibration import drawn_images, gather, read_images
from tools.hef_export.folder import (
    DECODER,
    ENCODER,
    write_embeddings,
    write_manifest,
    write_scripts,
)
from tools.hef_export.pipeline import FixedPipeline

MODEL = FOLDERS["random-a"]
GRAPHS = DATA / "florence-random-a-hailo"
QUESTIONS = (None, "x", "red cat", "How many red?")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model's folder as the exporter leaves it."""
    made = tmp_path_factory.mktemp("exported") / "model"
    shutil.copytree(MODEL, made)
    shutil.copytree(GRAPHS, made / "hailo")
    write_embeddings(made)
    return made


@pytest.fixture(scope="module")
def pipeline(folder: Path) -> FixedPipeline:
    return FixedPipeline(folder, folder / "hailo" / f"{ENCODER}.onnx", folder / "hailo" / f"{DECODER}.onnx")


def test_embeddings_are_rows_of_the_embedding_graph(folder: Path) -> None:
    words, caption, vqa = (np.load(folder / f"{name}_embedding.npy") for name in ("word", "caption", "vqa"))
    embed = Graph(MODEL / "onnx" / "embed_tokens.onnx", 1)
    ids = np.arange(len(words))[None]
    assert words.shape == (301, 32)
    assert np.array_equal(embed.run(["inputs_embeds"], {"input_ids": ids})[0][0], words)
    with make_engine({"model_dir": str(MODEL), "backend": "cpu", "threads": 1}) as engine:
        engine.load()
        prompts = engine._prompts
    asked = prompts.encode("vqa", "x")
    assert np.array_equal(caption, words[None, None, prompts.encode("caption")])
    assert np.array_equal(vqa, words[None, None, asked[: vqa.shape[2]]])
    assert 0 < vqa.shape[2] < len(asked)


def test_answers_are_those_of_the_ordinary_pipeline(pipeline: FixedPipeline) -> None:
    """Prompts of four lengths in one fixed length: the rows left over are seen and not attended to."""
    with make_engine({"model_dir": str(MODEL), "backend": "cpu", "threads": 1}) as engine:
        engine.load()
        for number in range(3):
            image = formula_image(64, number)
            for question in QUESTIONS:
                request = {
                    "task": "caption" if question is None else "vqa",
                    "question": question,
                    "max_length": pipeline.longest,
                }
                answered = pipeline.answer(image, question).tokens
                assert answered == ask(engine, request, image)[0], question
                assert len(answered) > 2


def test_a_prompt_that_does_not_fit_is_refused(pipeline: FixedPipeline) -> None:
    with pytest.raises(ValueError, match="at most 57 positions"):
        pipeline.answer(formula_image(64, 0), "x" * 40)


def test_calibration_holds_what_the_graphs_were_fed(folder: Path, pipeline: FixedPipeline) -> None:
    images = [formula_image(64, 0), formula_image(64, 1)]
    made = gather(folder, pipeline, images, ["x"])
    encoder, decoder = made.arrays(DECODER)
    assert made.same == 4
    assert encoder.shape == (4, 1, 57, 32)
    assert {name: array.shape for name, array in decoder.items()} == {
        f"{DECODER}/input_layer1": (4, 1, 57, 32),
        f"{DECODER}/input_layer2": (4, 1, 32, 32),
    }
    words = np.load(folder / "word_embedding.npy")
    answered = pipeline.answer(images[1])
    window = decoder[f"{DECODER}/input_layer2"][2, 0]
    fed = [2, *answered.tokens[:-1]]
    assert np.array_equal(window[: len(fed)], words[fed])
    assert not window[len(fed) :].any()
    assert np.array_equal(encoder[2], answered.sequence)


def test_images_for_calibration(tmp_path: Path) -> None:
    target = read_image_settings(ModelDir(MODEL)).target
    assert [image.shape for image in drawn_images(target, 2)] == [(64, 64, 3)] * 2
    with pytest.raises(ValueError, match="expected files ending in"):
        list(read_images(tmp_path, target, 5))
    for number in range(3):
        Image.fromarray(formula_image(64, number)).save(tmp_path / f"{number}.png")
    read = list(read_images(tmp_path, target, 2))
    assert len(read) == 2
    assert np.array_equal(read[1], formula_image(64, 1))


def test_manifest_lists_every_file(folder: Path) -> None:
    compiling = folder / "hailo"
    write_scripts(compiling, 7)
    write_manifest(folder, compiling, {"opset": 13})
    manifest = json.loads((compiling / "manifest.json").read_text())
    assert manifest["opset"] == 13
    assert manifest["graphs"][DECODER] == {
        "input": {"encoder_hidden_states": [1, 57, 32], "inputs_embeds": [1, 32, 32]},
        "output": {"logits": [1, 32, 301]},
    }
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert set(manifest["files"]) == files - {"hailo/manifest.json", "hailo/README.md"}
    for name, entry in manifest["files"].items():
        assert entry["sha256"] == hashlib.sha256((folder / name).read_bytes()).hexdigest()
    assert manifest["files"]["caption_embedding.npy"]["shape"][:2] == [1, 1]
    script = (compiling / f"{DECODER}.alls").read_text()
    assert "calibset_size=7" in script
    assert (
        "layer_norm_decomposition, equalization=disabled, bit_decomposition_mode=uniform_precision" in script
    )
    assert "`logits` [1, 32, 301]" in (compiling / "README.md").read_text()

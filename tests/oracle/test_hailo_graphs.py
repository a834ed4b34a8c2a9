"""The fixed-shape graphs for Hailo's compiler against transformers and the ordinary pipeline."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.hailo_florence import demo
from tests.hailo_florence.cases import DATA, DEMO, FOLDERS, GOLDEN, Case, formula_image

if TYPE_CHECKING:
    from tools.hef_export.pipeline import FixedPipeline

pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("default")]
ROOM = 24


def pipeline_of(folder: Path) -> FixedPipeline:
    from tools.hef_export.folder import DECODER, ENCODER  # noqa: PLC0415 - beside torch
    from tools.hef_export.pipeline import FixedPipeline  # noqa: PLC0415

    compiling = folder / "hailo"
    return FixedPipeline(folder, compiling / f"{ENCODER}.onnx", compiling / f"{DECODER}.onnx")


def exported(folder: Path, source: Path, side: int, **settings: Any) -> dict[str, Any]:
    from tools.hef_export.__main__ import export_hailo  # noqa: PLC0415
    from training.scenes.checkpoint import load_model  # noqa: PLC0415 - needs torch

    return export_hailo(load_model(source), source, folder, side, **settings)


def golden() -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads((GOLDEN / "florence-demo.json").read_text())["rows"]
    return listed


def test_demo_model_with_room_for_questions(tmp_path: Path) -> None:
    """All golden pictures, a caption and an answer each, though no prompt fills the room."""
    about = exported(tmp_path, DEMO, 128, prompt_tokens=ROOM)
    assert about["empty_rows_are_seen"]
    pipeline, images = pipeline_of(tmp_path), list(demo.images())
    for row in golden():
        answered = pipeline.answer(images[row["image"]], row["question"])
        assert answered.tokens == row["tokens"], row


@pytest.mark.parametrize("joined", [True, False])
def test_demo_model_in_the_published_form(tmp_path: Path, joined: bool) -> None:
    """Room for a caption's prompt only, and no mask; the scores in three pieces, joined or not."""
    about = exported(tmp_path, DEMO, 128, cuts=3, joined=joined)
    assert ("Concat" in about["operators"]["florence2_transformer_decoder"]) is joined
    assert (about["prompt_tokens"], about["empty_rows_are_seen"]) == (8, False)
    pipeline, images = pipeline_of(tmp_path), list(demo.images())
    captions = [row for row in golden() if row["question"] is None]
    assert len(captions) == demo.IMAGES
    for row in captions:
        assert pipeline.answer(images[row["image"]]).tokens == row["tokens"], row


def test_the_service_runs_the_exported_graphs_on_a_simulated_chip(tmp_path: Path) -> None:
    """Graphs, embeddings and calibration set made into HEFs: the engine's answers are still the CPU's."""
    from hailo_common.inference.model_dir import ModelDir  # noqa: PLC0415 - beside torch
    from hailo_florence.model.preprocess import read_image_settings  # noqa: PLC0415
    from tests.hailo_florence.npu.harness import Harness  # noqa: PLC0415
    from tests.npu import Machine  # noqa: PLC0415
    from tests.oracle.hailo_hefs import write_hefs  # noqa: PLC0415
    from tools.hef_export.__main__ import calibrate  # noqa: PLC0415
    from tools.hef_export.calibration import drawn_images  # noqa: PLC0415

    model = tmp_path / "model"
    about = exported(model, DEMO, 128, prompt_tokens=ROOM)
    images = drawn_images(read_image_settings(ModelDir(DEMO)).target, 24)
    calibrate(model, about, images, ["How many objects are there?"])
    write_hefs(model)
    asked = golden()[:80]
    with (
        Machine(tmp_path / "machine") as machine,
        Harness(machine.environ, model_dir=str(model), backend="npu", threads=1) as engine,
    ):
        stages = engine.ask("load")["stages"]
        answers = [engine.ask("run", image=row["image"], question=row["question"]) for row in asked]
    assert [row["backend"] for row in stages].count("onnxruntime (CPU)") == 1
    same = [answer["tokens"] == row["tokens"] for answer, row in zip(answers, asked, strict=True)]
    assert sum(same) >= len(same) - 1


def test_another_size_against_transformers(tmp_path: Path) -> None:
    """A fresh random model: each row of the window's scores, and answers by the model's rules."""
    from tests.oracle.expect import expected  # noqa: PLC0415 - needs torch
    from tests.oracle.reference import Reference  # noqa: PLC0415
    from tools.hef_export.__main__ import export_hailo  # noqa: PLC0415
    from training.florence.random_model import SIZES, write_random_model  # noqa: PLC0415

    size, source = SIZES["b"], tmp_path / "source"
    model = write_random_model(source, size, 31)
    export_hailo(model, source, tmp_path / "out", size.side, prompt_tokens=ROOM, vision=True)
    reference, pipeline = Reference(source, model), pipeline_of(tmp_path / "out")
    for number in range(3):
        image = formula_image(size.side, number)
        for question in (None, "What color is the circle?", "x"):
            case = Case(number, question, pipeline.longest, None, "as exported")
            answered = pipeline.answer(image, question)
            assert answered.tokens == expected(reference, case, image)
            fed = [2, *answered.tokens[:-1]]
            theirs = reference.scores(image, case.prompt, fed)
            ours = scores(pipeline, answered.states, answered.window)[: len(fed)]
            assert np.abs(ours - theirs).max() <= 2e-4 * theirs.std()
    same_features(tmp_path / "out", size.side)


def scores(pipeline: FixedPipeline, states: Any, window: Any) -> Any:
    """One run of the decoder over a whole window, (window, vocabulary)."""
    feeds = {"encoder_hidden_states": states, "inputs_embeds": window}
    return pipeline._decoder.graph.run(["logits"], feeds)[0][0]


def same_features(folder: Path, side: int) -> None:
    """The vision encoder with fixed sizes computes what the ordinary one does."""
    from hailo_common.inference.onnx import Graph  # noqa: PLC0415

    pixels = np.random.default_rng(0).normal(size=(1, 3, side, side)).astype(np.float32)
    paths = folder / "onnx" / "vision_encoder.onnx", folder / "hailo" / "florence2_vision_encoder.onnx"
    one, other = (Graph(path, 1).run(["image_features"], {"pixel_values": pixels})[0] for path in paths)
    assert np.abs(one - other).max() <= 1e-4 * one.std()


def test_the_whole_command_on_a_checkpoint_of_transformers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tools.hef_export.__main__ import main  # noqa: PLC0415
    from training.scenes.checkpoint import load_model  # noqa: PLC0415 - needs torch

    source = FOLDERS["random-a"]
    load_model(source).save_pretrained(tmp_path / "checkpoint")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "checkpoint" / name).write_bytes((source / name).read_bytes())
    settings = ["--side", "64", "--count", "2", "--prompt-tokens", "40", "--question", "x"]
    arguments = ["export_hailo", str(tmp_path / "checkpoint"), str(tmp_path / "out"), *settings]
    monkeypatch.setattr(sys, "argv", arguments)
    main()
    manifest = json.loads((tmp_path / "out" / "hailo" / "manifest.json").read_text())
    assert manifest["calibration"] == {"answers": 4, "as_the_ordinary_pipeline": 4}
    for name in ("florence2_transformer_encoder", "florence2_transformer_decoder"):
        same_outputs(
            tmp_path / "out" / "hailo" / f"{name}.onnx", DATA / "florence-random-a-hailo" / f"{name}.onnx"
        )


def same_outputs(made: Path, kept: Path) -> None:
    """Two graphs of the same inputs and operators that compute the same."""
    import onnx  # noqa: PLC0415 - only where torch is

    from hailo_common.inference.onnx import Graph  # noqa: PLC0415
    from tools.hef_export.graphs import operators  # noqa: PLC0415

    assert operators(onnx.load(str(made))) == operators(onnx.load(str(kept)))
    graphs = [Graph(path, 1) for path in (made, kept)]
    random = np.random.default_rng(1)
    feeds = {
        name: random.normal(size=[size or 1 for size in tensor.shape]).astype(np.float32)
        for name, tensor in graphs[0].inputs.items()
    }
    one, other = (graph.run(list(graph.outputs), feeds)[0] for graph in graphs)
    assert np.abs(one - other).max() <= 1e-5 * one.std()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prompt_tokens": 5}, "the prompt of a caption takes"),
        ({"prompt_tokens": 90}, "the model has 96 positions"),
        ({"window": 3}, "no room for an answer"),
    ],
)
def test_sizes_that_cannot_work_are_refused(settings: dict[str, int], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        exported(tmp_path, FOLDERS["random-a"], 64, **settings)


def test_equal_weights_bring_no_operator_of_their_own() -> None:
    """The exporter keeps one of several equal weights, as those of fresh layer norms are."""
    from tools.hef_export.graphs import encoder_graph, operators  # noqa: PLC0415 - needs torch
    from training.florence.model import build  # noqa: PLC0415
    from training.florence.random_model import SIZES, config_of  # noqa: PLC0415
    from training.florence.tokenizer import build_tokenizer  # noqa: PLC0415

    model = build(config_of(SIZES["a"], build_tokenizer(["red cat"]))).eval()
    assert "Identity" not in operators(encoder_graph(model, 20))


def test_a_graph_the_compiler_would_refuse_is_refused_here() -> None:
    import onnx  # noqa: PLC0415 - only where torch is

    from tools.hef_export.graphs import LANGUAGE_OPERATORS, _checked  # noqa: PLC0415

    def graph(operator: str, size: int | str) -> Any:
        ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, size]) for name in "ab"]
        node = onnx.helper.make_node(operator, ["a"], ["b"])
        return onnx.helper.make_model(onnx.helper.make_graph([node], "g", ends[:1], ends[1:]))

    with pytest.raises(ValueError, match="not known to take Cos"):
        _checked(graph("Cos", 3), LANGUAGE_OPERATORS)
    with pytest.raises(ValueError, match="size of a is not fixed"):
        _checked(graph("Erf", "n"), LANGUAGE_OPERATORS)
    _checked(graph("Erf", 3), LANGUAGE_OPERATORS)

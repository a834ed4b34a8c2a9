"""Each stage takes a HEF or a graph by itself, and says which and why."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hailo_common.inference.backend import NAMES
from tests.hailo_florence.cases import DEMO
from tests.hailo_florence.npu.harness import QUESTION, Harness
from tests.hailo_florence.test_golden import rows
from tests.hailo_sim.make import make_florence_folder
from tests.npu import VERSIONS, Fault, Machine

ENCODER, DECODER = "florence2_transformer_encoder.hef", "florence2_transformer_decoder.hef"
CONFIGURE = "InferModel.configure"


def golden(image: int) -> list[int]:
    return next(row["tokens"] for row in rows("demo") if (row["image"], row["question"]) == (image, None))


def load(machine: Machine, model: Path, backend: str = "auto") -> tuple[dict[str, Any], list[int]]:
    """What the engine says of itself, and its caption of picture 3."""
    with Harness(machine.environ, model_dir=str(model), backend=backend, threads=1) as engine:
        info = engine.ask("load")
        tokens = engine.ask("run", image=3).get("tokens", []) if "stages" in info else []
        return info, tokens


def backends(info: dict[str, Any]) -> dict[str, tuple[str, bool]]:
    return {row["name"]: (row["backend"], row.get("fell_back", False)) for row in info["stages"]}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("stage", [1, 2], ids=["encoder", "decoder"])
@pytest.mark.parametrize("status", [92, 93])
def test_a_refused_hef_leaves_its_stage_to_the_cpu(
    both: Path, tmp_path: Path, version: str, stage: int, status: int
) -> None:
    with Machine(tmp_path, version=version) as machine:
        machine.inject(Fault(CONFIGURE, "status", status=status, at=stage))
        info, tokens = load(machine, both)
    refused = ("text_encoder", "decoder")[stage - 1]
    found = backends(info)
    assert found[refused] == (NAMES["cpu"], True)
    assert sorted(found.values()) == [(NAMES["npu"], False), (NAMES["cpu"], False), (NAMES["cpu"], True)]
    reason = next(row["reason"] for row in info["stages"] if row["name"] == refused)
    assert "compile it for the Hailo-10H" in reason
    assert f"status {status}" in reason
    assert tokens == golden(3)


@pytest.mark.parametrize("version", VERSIONS)
def test_files_for_a_hailo_8_leave_all_to_the_cpu(tmp_path: Path, version: str) -> None:
    """What is published is for that chip. The chip is given back."""
    model = make_florence_folder(tmp_path / "model", architecture="hailo8")
    shutil.copytree(DEMO, model, dirs_exist_ok=True)
    with Machine(tmp_path, version=version, log_calls=True) as machine:
        info, tokens = load(machine, model)
        assert "VDevice.release" in machine.calls()
        assert set(backends(info).values()) == {(NAMES["cpu"], False), (NAMES["cpu"], True)}
        assert tokens == golden(3)
        insisting, _ = load(machine, model, "npu")
    assert insisting["failed"] == "ModelError"
    assert "no stage runs on this chip" in insisting["message"]


@pytest.mark.parametrize("version", VERSIONS)
def test_scores_in_several_outputs(tmp_path: Path, version: str) -> None:
    """As in Hailo's own Whisper, where the compiler takes no Concat; their names sort wrongly as texts."""
    model = make_florence_folder(tmp_path / "model", cuts=4)
    with Machine(tmp_path / "machine", version=version) as machine:
        info, tokens = load(machine, model, "npu")
    assert backends(info)["decoder"] == (NAMES["npu"], False)
    assert tokens == golden(3)


def test_one_hef_is_enough(both: Path, tmp_path: Path) -> None:
    for missing, stage in ((ENCODER, "text_encoder"), (DECODER, "decoder")):
        model = Path(shutil.copytree(both, tmp_path / stage / "model"))
        (model / missing).unlink()
        with Machine(tmp_path / stage) as machine:
            info, tokens = load(machine, model)
        assert backends(info)[stage] == (NAMES["cpu"], False)
        assert tokens == golden(3)


def test_without_a_chip_or_when_told_so_all_runs_on_the_cpu(both: Path, tmp_path: Path) -> None:
    for number, (devices, backend) in enumerate([((), "auto"), (("0001:01:00.0",), "cpu")]):
        with Machine(tmp_path / str(number), devices=devices, log_calls=True) as machine:
            info, tokens = load(machine, both, backend)
            assert machine.calls() == []
        assert set(backends(info).values()) == {(NAMES["cpu"], False)}
        assert tokens == golden(3)


def no_words(model: Path) -> None:
    (model / "word_embedding.npy").unlink()


def short_words(model: Path) -> None:
    np.save(model / "word_embedding.npy", np.zeros(5, np.float32))


def wrong_words(model: Path) -> None:
    (model / "word_embedding.npy").write_bytes(b"no array")


def wrong_caption(model: Path) -> None:
    np.save(model / "caption_embedding.npy", np.zeros((1, 1, 5, 128), np.float32))


def narrow_words(model: Path) -> None:
    np.save(model / "word_embedding.npy", np.zeros((434, 64), np.float32))


def cut(model: Path) -> None:
    path = model / DECODER
    path.write_bytes(path.read_bytes()[:-100])


def swapped(model: Path) -> None:
    shutil.copy(model / ENCODER, model / DECODER)


def twice(model: Path) -> None:
    shutil.copy(model / ENCODER, model / "another_encoder.hef")


@pytest.mark.parametrize(
    ("spoil", "kind", "words"),
    [
        (no_words, "ModelMissing", "word_embedding.npy: file is missing"),
        (short_words, "ModelError", "word_embedding.npy: expected rows of numbers"),
        (wrong_words, "ModelError", "word_embedding.npy: expected an array"),
        (narrow_words, "ModelError", "expected"),
        (wrong_caption, "ModelError", "caption_embedding.npy: expected 8 rows"),
        (cut, "ModelError", f"{DECODER}: the file is damaged or incomplete (status 91"),
        (swapped, "ModelError", "expected one input with a name that ends in 'input_layer2'"),
        (twice, "ModelError", "expected one HEF of the text_encoder"),
    ],
)
def test_a_spoilt_folder_is_named(
    npu_model: Path, tmp_path: Path, spoil: Callable[[Path], None], kind: str, words: str
) -> None:
    model = Path(shutil.copytree(npu_model, tmp_path / "model"))
    spoil(model)
    with Machine(tmp_path) as machine:
        info, _ = load(machine, model, "npu")
    assert info.get("failed") == kind, info
    assert words in info["message"]


def test_questions_are_embedded_with_or_without_their_tasks_file(npu_model: Path, tmp_path: Path) -> None:
    model = Path(shutil.copytree(npu_model, tmp_path / "model"))
    answers = []
    for name in ("", "vqa_embedding.npy", "caption_embedding.npy"):
        if name:
            (model / name).unlink()
        with (
            Machine(tmp_path / f"machine{name}") as machine,
            Harness(machine.environ, model_dir=str(model), backend="npu", threads=1) as engine,
        ):
            engine.ask("load")
            answers.append([engine.ask("run", image=4, question=each)["tokens"] for each in (None, QUESTION)])
    assert answers[0] == answers[1] == answers[2]


@pytest.mark.parametrize("embedding", [True, False])
def test_without_room_or_embedding_for_a_question_there_is_no_vqa(tmp_path: Path, embedding: bool) -> None:
    """The API then answers 501: `capabilities` says so before any request."""
    model = make_florence_folder(tmp_path / "model", room=8)
    tokens = np.load(model / "vqa_embedding.npy").shape[-2]
    assert tokens == 4
    if not embedding:
        (model / "vqa_embedding.npy").unlink()
    with Machine(tmp_path) as machine:
        info, _ = load(machine, model, "npu")
    assert {task for task, can in info["capabilities"].items() if can} == {
        "caption",
        *(["vqa"] if embedding else []),
    }
    assert info["limits"]["max_positions"] == info["limits"]["image_tokens"] + 8

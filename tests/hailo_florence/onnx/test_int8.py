"""The vision encoder's 8-bit copy: what it changes, when it is made and used, and that the original stays."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hailo_common.engine.prepared import prepared
from hailo_common.errors import ModelError
from hailo_common.inference.model_dir import ModelDir
from hailo_common.inference.onnx import Graph
from hailo_florence.config import FlorenceSettings
from hailo_florence.engine import FlorenceEngine, make_engine
from hailo_florence.model.preprocess import read_image_settings
from hailo_florence.onnx import int8_file
from hailo_florence.onnx.int8_file import choose_file, own_folder, weight_bits
from hailo_florence.onnx.int8_verdict import MAX_ERROR, verdict_path
from hailo_florence.onnx.stages import OnnxVisionEncoder
from tests.hailo_florence import demo
from tests.hailo_florence.api.conftest import data_uri, red_circle
from tests.hailo_florence.api.running import started
from tests.hailo_florence.cases import DEMO, FOLDERS, ask, formula_image, with_settings

onnx = pytest.importorskip("onnx")
B = FOLDERS["random-b"]


@pytest.fixture
def model(tmp_path: Path) -> ModelDir:
    return ModelDir(with_settings(B, tmp_path / "model", {}))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "state" / "int8"


def copies(place: Path) -> list[Path]:
    return sorted(place.glob("*.onnx"))


def features(path: Path, folder: Path, number: int = 1) -> Any:
    settings = read_image_settings(ModelDir(folder))
    encoder = OnnxVisionEncoder(Graph(path, 1), settings)
    return encoder.encode(formula_image(settings.target.width, number))


@given(arrays(np.float32, (5, 3), elements=st.floats(-1e6, 1e6, width=32)), st.sampled_from([7, 8]))
def test_a_matrix_is_off_by_half_a_step_at_most(weights: Any, bits: int) -> None:
    from hailo_florence.onnx.quantise import columns_as_int8  # noqa: PLC0415 - needs onnx

    whole, scale = columns_as_int8(weights, bits)
    assert whole.dtype == np.int8
    assert np.abs(whole.astype(int)).max() <= 2 ** (bits - 1) - 1
    assert (np.abs(whole * scale.astype(np.float64) - weights) <= scale * 0.5001).all()


def test_weights_that_are_not_finite_are_refused() -> None:
    from hailo_florence.onnx.quantise import columns_as_int8  # noqa: PLC0415 - needs onnx

    with pytest.raises(ModelError, match="finite"):
        columns_as_int8(np.array([[1, np.nan]], np.float32), 8)


def test_only_products_with_fixed_matrices_change(model: ModelDir) -> None:
    from hailo_florence.onnx.quantise import quantise  # noqa: PLC0415 - needs onnx

    before = onnx.load(model.onnx("vision_encoder"))
    after = onnx.load_model_from_string(quantise(model.onnx("vision_encoder"), 8))
    onnx.checker.check_model(after)
    kinds = [{kind: 0 for kind in ("Conv", "MatMul", "MatMulInteger")} for _ in range(2)]
    for count, graph in zip(kinds, (before.graph, after.graph), strict=True):
        for node in graph.node:
            if node.op_type in count:
                count[node.op_type] += 1
    assert kinds[1]["Conv"] == kinds[0]["Conv"] > 0
    assert kinds[1]["MatMul"] + kinds[1]["MatMulInteger"] == kinds[0]["MatMul"]
    assert kinds[1]["MatMulInteger"] > 5
    for item in after.graph.initializer:
        if item.name.endswith("/int8"):
            # ONNX Runtime 1.21 gets others wrong on processors with AMX.
            assert item.dims[1] % 32 <= 16


@pytest.mark.parametrize("bits", [7, 8])
def test_the_features_stay_close(model: ModelDir, tmp_path: Path, bits: int) -> None:
    from hailo_florence.onnx.quantise import quantise  # noqa: PLC0415 - needs onnx

    copy = tmp_path / "copy.onnx"
    copy.write_bytes(quantise(model.onnx("vision_encoder"), bits))
    truth, made = features(model.onnx("vision_encoder"), B), features(copy, B)
    assert 0 < np.linalg.norm(made - truth) < 0.3 * np.linalg.norm(truth)


def test_a_copy_is_made_once_and_the_original_stays(model: ModelDir, place: Path) -> None:
    source = model.onnx("vision_encoder")
    before = hashlib.sha256(source.read_bytes()).digest()
    first = choose_file(model, "int8", 1, place)
    assert first.path.parent == place
    assert "relative error 0." in first.note
    made = first.path.stat()
    assert choose_file(model, "int8", 1, place) == first
    assert first.path.stat().st_ino == made.st_ino
    assert hashlib.sha256(source.read_bytes()).digest() == before
    assert not list(place.glob(".*.tmp"))


def test_a_changed_original_gets_a_new_copy_and_the_old_one_goes(model: ModelDir, place: Path) -> None:
    first = choose_file(model, "int8", 1, place)
    (place / ".left.onnx.tmp").touch()
    source = model.onnx("vision_encoder")
    source.write_bytes(source.read_bytes())
    second = choose_file(model, "int8", 1, place)
    assert second.path != first.path
    assert copies(place) == [second.path]
    assert not list(place.glob(".*.tmp"))


def test_auto_leaves_small_models_and_fp32_all_alone(model: ModelDir, place: Path) -> None:
    for wanted in ("auto", "fp32"):
        chosen = choose_file(model, wanted, 1, place)
        assert chosen == int8_file.VisionFile(model.onnx("vision_encoder"))
    assert not place.exists()


@pytest.mark.parametrize(("seconds", "faster"), [(0.5, True), (0.95, False)])
def test_auto_takes_the_copy_where_it_is_faster(
    model: ModelDir, place: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, faster: bool
) -> None:
    monkeypatch.setattr(int8_file, "_WORTH_IT", 0)
    copy = choose_file(model, "int8", 1, place).path
    judge(copy, seconds=seconds, original_seconds=1.0)
    chosen = choose_file(model, "auto", 1, place)
    assert (chosen.path == copy) == faster
    assert chosen.note


def judge(copy: Path, **values: float) -> None:
    path = verdict_path(copy)
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_copy_that_is_wrong_is_never_used(
    model: ModelDir, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a kernel that multiplies wrongly: the proof runs both files, here of two models."""
    from hailo_florence.onnx import int8_proof  # noqa: PLC0415 - needs onnx

    other = place.parent / "other.onnx"
    other.parent.mkdir(parents=True)
    shutil.copy(model.onnx("vision_encoder"), other)
    graph = onnx.load(other)
    for item in graph.graph.initializer:
        if len(item.dims) == 2 and item.data_type == 1:
            values = -onnx.numpy_helper.to_array(item)
            item.CopyFrom(onnx.numpy_helper.from_array(values, item.name))
    onnx.save(graph, other)
    settings = read_image_settings(ModelDir(B))
    verdict = int8_proof.compare(model.onnx("vision_encoder"), other, settings, 1)
    assert not verdict.trusted
    copy = choose_file(model, "int8", 1, place).path
    judge(copy, error=MAX_ERROR + 0.1)
    copy.unlink()
    monkeypatch.setattr(int8_file, "_WORTH_IT", 0)
    chosen = choose_file(model, "auto", 1, place)
    assert chosen.path == model.onnx("vision_encoder")
    assert "wrong here" in chosen.note
    with pytest.raises(ModelError, match=r"int8 was asked for.*wrong here"):
        choose_file(model, "int8", 1, place)


@pytest.mark.parametrize(
    "change",
    [
        ("find_spec", lambda _: None, "python3-onnx"),
        ("available_bytes", lambda: 1000, "of memory"),
        ("DEADLINE_S", 0.0, "longer than"),
    ],
)
def test_what_stands_in_the_way_is_said(
    model: ModelDir, place: Path, monkeypatch: pytest.MonkeyPatch, change: tuple[str, Any, str]
) -> None:
    name, value, says = change
    monkeypatch.setattr(int8_file, name, value)
    monkeypatch.setattr(int8_file, "_WORTH_IT", 0)
    chosen = choose_file(model, "auto", 1, place)
    assert chosen.path == model.onnx("vision_encoder")
    assert says in chosen.note
    with pytest.raises(ModelError, match=says):
        choose_file(model, "int8", 1, place)


def test_a_copy_that_takes_too_long_is_not_tried_for_ever(
    model: ModelDir, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a slow machine would spend every load on it, and the load's own deadline might never be met."""
    monkeypatch.setattr(int8_file, "DEADLINE_S", 0.0)
    for says in ("longer than", "longer than", "2 tries.*remove .*tries"):
        with pytest.raises(ModelError, match=says):
            choose_file(model, "int8", 1, place)
    monkeypatch.undo()
    with pytest.raises(ModelError, match="2 tries"):
        choose_file(model, "int8", 1, place)
    (marker,) = place.glob("*.tries")
    marker.unlink()
    assert choose_file(model, "int8", 1, place).path.parent == place
    assert not list(place.glob("*.tries"))


def test_an_original_that_is_no_model_is_named(model: ModelDir, place: Path) -> None:
    model.onnx("vision_encoder").write_bytes(b"<!DOCTYPE html>" * 99)
    with pytest.raises(ModelError, match=r"vision_encoder\.onnx: expected"):
        choose_file(model, "int8", 1, place)
    assert copies(place) == []


def test_int8_takes_a_published_8_bit_file_and_no_other(model: ModelDir, place: Path) -> None:
    source = model.onnx("vision_encoder")
    published = source.rename(source.with_name("vision_encoder_quantized.onnx"))
    assert choose_file(model, "int8", 1, place).path == published
    published.rename(source.with_name("vision_encoder_fp16.onnx"))
    with pytest.raises(ModelError, match=r"needs vision_encoder\.onnx"):
        choose_file(model, "int8", 1, place)


def loaded(folder: Path, **options: Any) -> FlorenceEngine:
    """An engine, prepared as its process prepares it."""
    made = prepared(FlorenceSettings.PREPARE, {"model_dir": str(folder), "threads": 1, **options})
    engine = make_engine(made.options)
    engine.load()
    return engine


def test_a_damaged_copy_is_noticed_before_it_is_loaded_and_made_anew(model: ModelDir, place: Path) -> None:
    """A flipped bit in a weight is no error to any library."""
    first = choose_file(model, "int8", 1, place)
    content = bytearray(first.path.read_bytes())
    good = bytes(content)
    for damaged in (good[:1000], good[: len(good) // 2] + b"x" + good[len(good) // 2 + 1 :]):
        first.path.write_bytes(damaged)
        assert choose_file(model, "int8", 1, place).path == first.path
        assert first.path.read_bytes() == good


def test_the_engine_makes_the_copy_before_its_walls_go_up(model: ModelDir, tmp_path: Path) -> None:
    """In its real process, which afterwards can neither start a program nor write to the folder."""
    state = tmp_path / "state"
    settings = tmp_path / "config.yaml"
    settings.write_text(f"model_dir: {model.path}\nquantisation: int8\n")
    arguments = ("--config", str(settings))
    with started(("hailo_florence",), *arguments, STATE_DIRECTORY=str(state)) as running:
        stages = running.health()["stages"]
        assert "8-bit matrices" in stages[0]["reason"]
        reply = running.client.post("/v1/caption", json={"image": data_uri(red_circle())})
        assert reply.status_code == 200
    assert len(copies(state / "int8")) == 1


def test_the_demo_model_says_the_same_with_8_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    request = {"task": "caption", "max_length": 30}
    images = list(demo.images())[:100]
    with loaded(DEMO, quantisation="fp32") as plain, loaded(DEMO, quantisation="int8") as small:
        same = sum(ask(plain, request, image)[0] == ask(small, request, image)[0] for image in images)
    assert copies(tmp_path / "int8")
    assert same >= 97


@pytest.mark.parametrize(
    ("machine", "flags", "bits"),
    [
        ("aarch64", "", 8),
        ("x86_64", "flags : sse4_2 avx2 fma", 7),
        ("x86_64", "flags : avx2 avx_vnni", 8),
        ("x86_64", "flags : avx512f avx512_vnni", 8),
    ],
)
def test_bits_by_processor(machine: str, flags: str, bits: int) -> None:
    """Without VNNI two products are added in 16 bits: 255 * 127 * 2 is more than they hold."""
    assert weight_bits(machine, flags) == bits


def test_where_copies_lie() -> None:
    assert own_folder({"STATE_DIRECTORY": "/var/lib/hailo-florence"}) == Path("/var/lib/hailo-florence/int8")
    assert own_folder({"HOME": "/h", "XDG_CACHE_HOME": "x"}) == Path("/h/.cache/hailo-florence/int8")
    assert own_folder({"XDG_CACHE_HOME": "/c"}) == Path("/c/hailo-florence/int8")
    with pytest.raises(int8_file.NoCopyError, match="STATE_DIRECTORY"):
        own_folder({})

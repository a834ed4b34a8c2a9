"""Damaged files: none ends the engine's process, and each that is refused is named; see `hostile`."""

from __future__ import annotations

import re
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import pytest

from hailo_common.errors import ModelError
from hailo_vision.gguf.checks import check_model
from hailo_vision.gguf.header import read_header
from hailo_vision.gguf.projectors import check_projector
from tests.hailo_vision.gguf.hostile import ANSWERED, REFUSED, good_pair, run, try_files
from tests.hailo_vision.gguf.mutations import Pair
from tests.hailo_vision.gguf.rawfile import ARRAY, STRING, RawFile, RawTensor, read_raw

U32, I32, F32, BOOL = 4, 5, 6, 7
_SEEDS = 100


@pytest.fixture(scope="module")
def pair(demo: Path) -> Pair:
    """The demo model's two files, taken apart."""
    return read_raw(demo / "model.gguf"), read_raw(demo / "mmproj.gguf")


def test_damaged_files_answer_or_are_refused_by_name(pair: Pair) -> None:
    outcomes = run(0, _SEEDS, pair)
    assert [outcome for outcome in outcomes if not outcome.good] == []
    assert sum(outcome.code == ANSWERED for outcome in outcomes) > 3
    assert sum(outcome.code == REFUSED for outcome in outcomes) > _SEEDS // 2


def test_damaged_files_of_a_family_with_tiles_do_too(tmp_path: Path) -> None:
    outcomes = run(0, _SEEDS, good_pair(tmp_path, "smolvlm"))
    assert [outcome for outcome in outcomes if not outcome.good] == []
    assert sum(outcome.code == ANSWERED for outcome in outcomes) > 3


@pytest.mark.parametrize("mark", [b"<fake_token_around_image>", b"<global-img>"])
def test_a_vocabulary_without_the_marks_of_an_image_is_refused(mark: bytes, tmp_path: Path) -> None:
    """llama.cpp reads them as no token at all, and fails on the first image; a load is tried with one."""
    model, projector = good_pair(tmp_path, "smolvlm")
    entry = model.find("tokenizer.ggml.tokens")
    assert entry is not None
    entry.value[:] = [b"<another>" if each == mark else each for each in entry.value]
    outcome = try_files((model.packed(), projector.packed()), tmp_path)
    assert outcome.code == REFUSED, outcome


def test_files_taken_apart_and_put_together_are_the_same(pair: Pair, demo: Path, tmp_path: Path) -> None:
    assert pair[0].packed() == (demo / "model.gguf").read_bytes()
    assert try_files((pair[0].packed(), pair[1].packed()), tmp_path).code == ANSWERED


def test_a_child_that_crashes_is_a_finding(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hailo_vision.gguf.engine.check_projector", lambda *_: None)
    projector = deepcopy(pair[1])
    projector.put("clip.vision.attention.layer_norm_epsilon", F32, -1.0)
    outcome = try_files((pair[0].packed(), projector.packed()), tmp_path)
    assert (outcome.good, outcome.code) == (False, -6)
    assert "eps >= 0" in outcome.said


def put(key: str, kind: int, value: object, of: int = 0) -> Callable[[RawFile], None]:
    """A change that sets a key."""
    return lambda file: file.put(key, kind, value, of)


def drop(name: str) -> Callable[[RawFile], None]:
    """A change that takes a tensor or a key away."""

    def change(file: RawFile) -> None:
        file.entries = [entry for entry in file.entries if entry.key != name.encode()]
        file.tensors = [tensor for tensor in file.tensors if tensor.name != name.encode()]

    return change


def shape(name: str, *sizes: int) -> Callable[[RawFile], None]:
    """A change that gives a tensor another shape."""

    def change(file: RawFile) -> None:
        next(tensor for tensor in file.tensors if tensor.name == name.encode()).shape[:] = sizes

    return change


def more(name: str, *sizes: int, kind: int = 0) -> Callable[[RawFile], None]:
    """A change that adds a tensor of zeros."""
    count = 4
    for size in sizes:
        count *= size
    return lambda file: file.tensors.append(RawTensor(name.encode(), list(sizes), kind, bytes(count)))


def tokens(*first: bytes) -> Callable[[RawFile], None]:
    """A change of the first tokens."""

    def change(file: RawFile) -> None:
        entry = file.find("tokenizer.ggml.tokens")
        assert entry is not None
        entry.value[: len(first)] = first

    return change


_OWN, _SIGHT = "qwen2vl", "clip.vision"
MODEL = {
    "architecture": (put("general.architecture", STRING, b"mamba"), "'mamba' is not known here"),
    "name of a number": (put("general.name", F32, 1.0), "expected str"),
    "layers": (put(f"{_OWN}.block_count", U32, 1 << 31), "expected 1 to 512"),
    "no layers": (put(f"{_OWN}.block_count", U32, 0), "expected 1 to 512"),
    "no heads": (put(f"{_OWN}.attention.head_count", U32, 0), "expected 1 to 1024"),
    "heads": (put(f"{_OWN}.attention.head_count", U32, 6), "cannot share an embedding of 128"),
    "no shared heads": (put(f"{_OWN}.attention.head_count_kv", U32, 0), "0 key-value heads"),
    "shared heads": (put(f"{_OWN}.attention.head_count_kv", U32, 3), "3 key-value heads"),
    "listed heads": (put(f"{_OWN}.attention.head_count_kv", ARRAY, [2], I32), "one for each layer"),
    "no context": (put(f"{_OWN}.context_length", U32, 0), "context_length"),
    "turned": (put(f"{_OWN}.rope.dimension_count", U32, 16), "16 turned numbers"),
    "values": (put(f"{_OWN}.attention.value_length", U32, 16), "32 numbers in keys and 16 in values"),
    "sections": (put(f"{_OWN}.rope.dimension_sections", ARRAY, [16, 24, 24, 0], I32), "sum is at most 16"),
    "one section": (put(f"{_OWN}.rope.dimension_sections", I32, 4), r"expected \[u32\]"),
    "scaling": (put(f"{_OWN}.rope.scaling.type", STRING, b"x"), "none, linear"),
    "epsilon": (put(f"{_OWN}.attention.layer_norm_rms_epsilon", F32, -1e-6), "expected 0 to 1"),
    "not a number": (put(f"{_OWN}.rope.freq_base", F32, float("nan")), "not nan"),
    "experts": (put(f"{_OWN}.expert_count", U32, 4), "expected 0 to 0"),
    "not causal": (put(f"{_OWN}.attention.causal", BOOL, False), "expected 1 to 1"),
    "vocabulary": (put("tokenizer.ggml.model", STRING, b"rwkv"), "'rwkv' is not known here"),
    "bytes": (put("tokenizer.ggml.model", STRING, b"llama"), "each of the 256 bytes"),
    "tokens": (tokens(b"same", b"same"), "there twice"),
    "cut tokens": (tokens(b"same\0a", b"same\0b"), "there twice"),
    "types": (put("tokenizer.ggml.token_type", ARRAY, [1], I32), "one for each token"),
    "scores": (put("tokenizer.ggml.scores", ARRAY, [float("nan")] * 784, F32), "not nan"),
    "end": (put("tokenizer.ggml.eos_token_id", U32, 784), "expected 0 to 783"),
    "merges": (drop("tokenizer.ggml.merges"), "merges"),
    "integers": (more("output.weight", 128, 784, kind=26), r"type \(26\)"),
}
PROJECTOR = {
    "kind": (put("clip.projector_type", STRING, b"pixtral"), "'pixtral' is not known here"),
    "another's": (put("clip.projector_type", STRING, b"gemma3"), "not for a model 'qwen2vl'"),
    "sound": (put("clip.has_audio_encoder", BOOL, True), "expected 0 to 0"),
    "patch": (put(f"{_SIGHT}.patch_size", U32, 0), "expected 1 to 256"),
    "grid": (put(f"{_SIGHT}.image_size", U32, 7), "no grid"),
    "heads": (put(f"{_SIGHT}.attention.head_count", U32, 33), "33 heads"),
    "odd heads": (put(f"{_SIGHT}.attention.head_count", U32, 64), "64 heads"),
    "embedding": (put(f"{_SIGHT}.embedding_length", U32, 64), "does not fit"),
    "epsilon": (put(f"{_SIGHT}.attention.layer_norm_epsilon", F32, -1.0), "expected 0 to 1"),
    "merge": (put(f"{_SIGHT}.spatial_merge_size", U32, 3), "expected 2 to 2"),
    "merge of another kind": (put(f"{_SIGHT}.spatial_merge_size", I32, 2), "expected u32"),
    "another family's version": (put("clip.minicpmv_version", U32, 3), r"expected i32"),
    "means": (put(f"{_SIGHT}.image_mean", ARRAY, [0.5], F32), "three numbers"),
    "spread": (put(f"{_SIGHT}.image_std", ARRAY, [0.0] * 3, F32), "not 0"),
    "pixels": (put(f"{_SIGHT}.image_min_pixels", U32, 1 << 27), "more than the most"),
    "windows": (put(f"{_SIGHT}.n_wa_pattern", U32, 2), "not known here"),
    "missing": (drop("v.blk.0.attn_k.bias"), "'v.blk.0.attn_k.bias' is missing"),
    "more": (more("v.class_embd", 128), "not one of such a projector"),
    "more layers": (more("v.blk.99.ln1.weight", 128), "not one of such a projector"),
    "shape": (shape("v.blk.0.attn_q.weight", 64, 256), "does not fit the others"),
    "vector": (shape("v.blk.1.ln2.bias", 64, 2), "does not fit the others"),
    "quantised vector": (more("v.post_ln.bias?", 1), "not one of such a projector"),
}


def _refused(pair: Pair, folder: Path, side: int, change: Callable[[RawFile], None]) -> str:
    files = deepcopy(pair)
    change(files[side])
    paths = folder / "model.gguf", folder / "mmproj.gguf"
    for path, file in zip(paths, files, strict=True):
        path.write_bytes(file.packed())
    model, projector = (read_header(path) for path in paths)
    if side:
        check_model(model)
    with pytest.raises(ModelError) as caught:
        check_projector(projector, model) if side else check_model(model)
    assert str(paths[side]) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", MODEL)
def test_a_model_that_cannot_be_is_refused_before_the_library_sees_it(
    name: str, pair: Pair, tmp_path: Path
) -> None:
    change, why = MODEL[name]
    assert re.search(why, _refused(pair, tmp_path, 0, change))


@pytest.mark.parametrize("name", PROJECTOR)
def test_a_projector_that_cannot_be_is_refused_before_the_library_sees_it(
    name: str, pair: Pair, tmp_path: Path
) -> None:
    change, why = PROJECTOR[name]
    assert re.search(why, _refused(pair, tmp_path, 1, change))

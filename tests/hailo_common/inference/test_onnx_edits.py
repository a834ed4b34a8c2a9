"""Changed graphs give the answers of their files, and broken files give errors."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hailo_common.errors import ModelError
from hailo_common.inference import onnx_loop
from hailo_common.inference.onnx import Graph
from hailo_common.inference.onnx_edits import Edit, in_query_blocks, last_row_only, multiply_in_int8
from hailo_common.inference.onnx_file import Node, OnnxFile, number_attribute, tensor_value
from hailo_common.inference.onnx_wire import Field, integer, integers, message, read, text, write

DATA = Path(__file__).parents[2] / "data"
DEMO = Path(__file__).parents[3] / "hailo_vision" / "demo_model"
FOLDERS = {"demo": DEMO, "a": DATA / "qwen-random-a", "b": DATA / "qwen-random-b"}
MERGES = {"demo": 2, "a": 2, "b": 3}
RANDOM = np.random.default_rng(7)
Arrays = list[NDArray[Any]]
EDITS: list[Edit] = []


def see(path: Path, edits: list[Edit] | None, grid: list[tuple[int, int, int]]) -> NDArray[Any]:
    graph = Graph(path, 1, edits)
    patches = sum(frames * rows * columns for frames, rows, columns in grid)
    width = graph.inputs["pixel_values"].shape[1]
    pixels = np.random.default_rng(3).standard_normal((patches, width or 0)).astype(np.float32)
    return graph.run(["image_features"], {"pixel_values": pixels, "grid_thw": np.array(grid, np.int64)})[0]


@pytest.mark.parametrize("queries", [7, 128, 100_000])
@pytest.mark.parametrize("model", FOLDERS)
def test_images_look_the_same_in_blocks(model: str, queries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One image, and two of which one has two frames: these must not see each other."""
    monkeypatch.setattr(onnx_loop, "QUERIES", queries)
    path, side = FOLDERS[model] / "onnx" / "vision_encoder.onnx", MERGES[model]
    for grid in ([(1, 8 * side, 5 * side)], [(1, 4 * side, side), (2, 2 * side, 3 * side)]):
        plain, edited = see(path, None, grid), see(path, [in_query_blocks], grid)
        np.testing.assert_allclose(edited, plain, rtol=2e-4, atol=2e-5)


def test_no_scores_of_all_patches_are_left_outside_the_loops() -> None:
    file = OnnxFile(DEMO / "onnx" / "vision_encoder.onnx")
    layers = sum(node.op == "Softmax" for node in file.nodes)
    in_query_blocks(file)
    operators = [node.op for node in file.nodes]
    assert operators.count("Loop") == layers > 0
    assert "Softmax" not in operators
    assert "Equal" not in operators, "which patch may see which is a square of patches too"


def read_prompt(path: Path, edits: list[Edit] | None) -> Arrays:
    graph = Graph(path, 1, edits)
    random_ = np.random.default_rng(5)
    feeds: dict[str, NDArray[Any]] = {}
    for name, tensor in graph.inputs.items():
        if name == "inputs_embeds":
            feeds[name] = random_.standard_normal((1, 6, tensor.shape[2] or 0)).astype(np.float32)
        elif name == "attention_mask":
            feeds[name] = np.ones((1, 9), np.int64)
        elif name == "position_ids":
            feeds[name] = np.arange(3, 9)[None, None].repeat(3, 0)
        else:
            _, heads, _, size = tensor.shape
            feeds[name] = random_.standard_normal((1, heads or 0, 3, size or 0)).astype(np.float32)
    return graph.run(["logits", *(name for name in graph.outputs if name != "logits")], feeds)


@pytest.mark.parametrize("model", FOLDERS)
def test_the_last_row_of_scores_is_the_same_alone(model: str) -> None:
    path = FOLDERS[model] / "onnx" / "decoder_model_merged.onnx"
    plain, edited = read_prompt(path, None), read_prompt(path, [last_row_only, multiply_in_int8])
    assert edited[0].shape == (1, 1, plain[0].shape[2])
    np.testing.assert_array_equal(edited[0][0, 0], plain[0][0, -1])
    for mine, theirs in zip(edited[1:], plain[1:], strict=True):
        np.testing.assert_array_equal(mine, theirs)


def four_bit_model(path: Path, rows: int, columns: int) -> None:
    """A file with one matrix of four bits in blocks of 32, as onnxruntime's quantiser lays it out."""
    packed = RANDOM.integers(0, 256, (columns, rows // 32, 16), np.uint8)
    scales = (RANDOM.random(columns * rows // 32) * 0.1).astype(np.float32)
    sizes = {"K": rows, "N": columns, "bits": 4, "block_size": 32}
    attributes: dict[str, bytes | memoryview] = {}
    for name, size in sizes.items():
        attributes |= number_attribute(name, size)
    node = Node("MatMulNBits", ["a", "packed", "scales"], ["c"], attributes, "com.microsoft", "matrix")
    graph = [node.field(), text(2, "graph"), tensor("packed", 2, packed), tensor("scales", 1, scales)]
    graph += [tensor_value("a", 1)._replace(number=11), tensor_value("c", 1)._replace(number=12)]
    own, theirs = message(8, integer(2, 17)), message(8, text(1, "com.microsoft"), integer(2, 1))
    path.write_bytes(write([integer(1, 8), message(7, *graph), own, theirs]))


def tensor(name: str, kind: int, values: NDArray[Any]) -> Field:
    dims = [integer(1, size) for size in values.shape]
    return message(5, *dims, integer(2, kind), text(8, name), Field(9, 2, values.tobytes()))


def test_four_bits_are_multiplied_in_eight(tmp_path: Path) -> None:
    """Rounding inputs to eight bits costs less than the weights' four did: about a hundredth."""
    path = tmp_path / "four.onnx"
    four_bit_model(path, 256, 4096)
    before = path.read_bytes()
    file = OnnxFile(path)
    multiply_in_int8(file)
    assert [node.integer("accuracy_level") for node in file.nodes] == [4]
    inputs = {"a": RANDOM.standard_normal((5, 256)).astype(np.float32)}
    plain, edited = (
        Graph(path, 1, edits).run(["c"], inputs)[0].astype(np.float64) for edits in (None, [multiply_in_int8])
    )
    assert 0 < np.linalg.norm(edited - plain) / np.linalg.norm(plain) < 0.015
    assert path.read_bytes() == before


def test_a_level_that_a_file_states_stays(tmp_path: Path) -> None:
    path = tmp_path / "four.onnx"
    four_bit_model(path, 64, 64)
    file = OnnxFile(path)
    file.nodes[0].attributes.update(number_attribute("accuracy_level", 1))
    multiply_in_int8(file)
    assert file.nodes[0].integer("accuracy_level") == 1


def test_weights_stay_in_their_file(tmp_path: Path) -> None:
    """Also behind a link, as in a snapshot of Hugging Face's cache."""
    blob, link = tmp_path / "blobs" / "abc", tmp_path / "model.onnx"
    blob.parent.mkdir()
    four_bit_model(blob, 256, 4096)
    link.symlink_to(blob)
    assert len(OnnxFile(link).to_bytes()) < blob.stat().st_size / 4
    inputs = {"a": RANDOM.standard_normal((1, 256)).astype(np.float32)}
    mapped, copied = (Graph(link, 1, edits).run(["c"], inputs)[0] for edits in (EDITS, None))
    np.testing.assert_array_equal(mapped, copied)


def test_an_edited_graph_that_does_not_load_makes_room_for_the_file(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def spoil(file: OnnxFile) -> bool:
        file.nodes[0] = Node("NoSuchThing", file.nodes[0].inputs, file.nodes[0].outputs)
        return True

    path = DEMO / "onnx" / "embed_tokens.onnx"
    made = Graph(path, 1, [spoil]).run(["inputs_embeds"], {"input_ids": np.array([[1, 2]], np.int64)})[0]
    assert made.shape[:2] == (1, 2)
    assert "the graph is used as it is" in caplog.text
    assert "NoSuchThing" in caplog.text


def test_mutated_files_end_in_a_model_error_or_load(tmp_path: Path) -> None:
    chance = random.Random(11)
    content = (DATA / "qwen-random-a" / "onnx" / "vision_encoder.onnx").read_bytes()
    path = tmp_path / "mutated.onnx"
    loaded = 0
    for _ in range(120):
        spoiled = bytearray(content[: chance.choice([len(content), chance.randrange(1, len(content))])])
        for _ in range(chance.choice([1, 4, 30])):
            spoiled[chance.randrange(min(len(spoiled), 20_000))] = chance.randrange(256)
        path.write_bytes(spoiled)
        with contextlib.suppress(ModelError):
            Graph(path, 1, [in_query_blocks, last_row_only, multiply_in_int8])
            loaded += 1
    assert loaded < 120


@pytest.mark.parametrize(
    "content",
    [b"", b"\x0a\xff", b"\x0b\x00", b"\xff" * 20, b"\x08" + b"\xff" * 10 + b"\x01", b"\x3a\x02\x0a"],
)
def test_what_is_no_message_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError):  # noqa: PT011 - whatever it says, ONNX Runtime says it better
        OnnxFile(tmp_path / "file")


def test_messages_are_written_as_they_were_read() -> None:
    content = (DEMO / "onnx" / "vision_encoder.onnx").read_bytes()
    assert write(read(memoryview(content))) == content
    inner = message(3, integer(1, -5), text(2, "é" * 200), message(4, message(5, integer(6, 300))))
    assert write([inner]) == write(read(memoryview(write([inner]))))
    assert next(read(inner.content)).integer == -5
    assert integers([Field(8, 2, b"\x01\xac\x02"), integer(8, -1)], 8) == [1, 300, -1]

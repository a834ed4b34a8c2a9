"""Threat E1 of tests/threats.md: what a stranger's ONNX file would have the service read.

The attacks succeed on ONNX Runtime 1.21, which Debian 13 has, where nothing looks at the file first.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hailo_common.errors import ModelError
from hailo_common.inference.onnx import Graph
from tests.hailo_common.inference.onnx_bytes import (
    attribute,
    field,
    graph,
    inline,
    model,
    node,
    value_info,
    weights,
)

SECRET = b"first-secret-key-of-the-service\n"
COUNT = len(SECRET) // 4
Write = Callable[..., Path]


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """What no model may read."""
    path = tmp_path / "keys"
    path.write_bytes(SECRET)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model's folder, two levels below the key file."""
    made = tmp_path / "models" / "toy"
    made.mkdir(parents=True)
    return made


def stolen(path: Path) -> bytes:
    """What the loaded model answers."""
    made = Graph(path, 1)
    return made.run(["y"], {})[0].tobytes()


def as_initializer(tensor: bytes) -> bytes:
    """The tensor is a weight of the graph."""
    return model(graph(node("Identity", ("w",), ("y",)), initializers=(tensor,), count=COUNT))


def as_constant(tensor: bytes) -> bytes:
    """The tensor is an attribute of an operator."""
    return model(graph(node("Constant", (), ("y",), more=attribute("value", tensor=tensor)), count=COUNT))


def in_a_branch(tensor: bytes) -> bytes:
    """The tensor is a weight of a graph in an operator."""
    branch = graph(node("Identity", ("w",), ("z",)), initializers=(tensor,), output="z", count=COUNT)
    yes = field(2, 9) + field(8, "c") + field(9, b"\x01")
    branches = attribute("then_branch", graph=branch) + attribute("else_branch", graph=branch)
    return model(graph(node("If", ("c",), ("y",), more=branches), initializers=(yes,), count=COUNT))


def in_a_function(tensor: bytes) -> bytes:
    """The tensor is an attribute in a function that the model brings."""
    inner = node("Constant", (), ("z",), more=attribute("value", tensor=tensor))
    function = field(1, "F") + field(5, "z") + field(7, inner) + field(9, field(1, "") + field(2, 17))
    more = field(25, function + field(10, "own")) + field(8, field(1, "own") + field(2, 1))
    return model(graph(node("F", (), ("y",), domain="own"), count=COUNT), more=more)


PLACES = {
    function.__name__: function for function in (as_initializer, as_constant, in_a_branch, in_a_function)
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("way", ["absolute", "climbs", "link", "linked folder"])
def test_a_model_does_not_answer_with_another_file(
    folder: Path, key_file: Path, place: str, way: str
) -> None:
    (folder / "link").symlink_to(key_file)
    (folder / "up").symlink_to(key_file.parent)
    location = {
        "absolute": str(key_file),
        "climbs": f"../../{key_file.name}",
        "link": "link",
        "linked folder": f"up/{key_file.name}",
    }[way]
    path = folder / "model.onnx"
    path.write_bytes(PLACES[place](weights(location, COUNT)))
    with pytest.raises(ModelError, match=r"model\.onnx|/link:|/up/keys:"):
        assert stolen(path) != SECRET, "the model answered with the key file"


@pytest.mark.parametrize("place", PLACES)
def test_weights_beside_the_model_are_read(folder: Path, place: str) -> None:
    (folder / "model.onnx.data").write_bytes(bytes(64) + SECRET)
    path = folder / "model.onnx"
    path.write_bytes(PLACES[place](weights("model.onnx.data", COUNT, offset="64", length=str(len(SECRET)))))
    if place in ("as_initializer", "in_a_branch"):
        assert stolen(path) == SECRET, "these weights are the folder's own"
    path.write_bytes(PLACES[place](inline(COUNT)))
    assert stolen(path) == bytes(len(SECRET))


@pytest.mark.parametrize(
    "location",
    [
        "",
        ".",
        "..",
        "a/../b",
        "*/_ORT_MEM_ADDR_/*",
        "/proc/self/environ",
        "/dev/zero",
        "fifo",
        "gone",
        "a\\..\\b",
    ],
)
def test_places_that_are_no_files_of_the_folder(folder: Path, location: str) -> None:
    os.mkfifo(folder / "fifo")
    path = folder / "model.onnx"
    path.write_bytes(as_initializer(weights(location, COUNT)))
    with pytest.raises(ModelError, match=str(folder)):
        Graph(path, 1)


@pytest.mark.parametrize(
    "more",
    [
        {"offset": "1000000"},
        {"offset": "-1"},
        {"length": "-4"},
        {"offset": "x"},
        {"offset": "18446744073709551615"},
        {"length": "9" * 5000},
    ],
    ids=str,
)
def test_numbers_beyond_the_file(folder: Path, more: dict[str, str]) -> None:
    (folder / "data").write_bytes(SECRET)
    path = folder / "model.onnx"
    path.write_bytes(as_initializer(weights("data", COUNT, **more)))
    with pytest.raises(ModelError, match=r"model\.onnx|/data:"):
        Graph(path, 1)


def test_a_snapshot_of_the_hub_keeps_its_weights_among_the_blobs(tmp_path: Path) -> None:
    snapshot, blobs = tmp_path / "snapshots" / "abc" / "onnx", tmp_path / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    (blobs / "1").write_bytes(as_initializer(weights("model.onnx_data", COUNT)))
    (blobs / "2").write_bytes(SECRET)
    (snapshot / "model.onnx").symlink_to("../../../blobs/1")
    (snapshot / "model.onnx_data").symlink_to("../../../blobs/2")
    made = Graph(snapshot / "model.onnx", 1, folder=snapshot.parent)
    if made.run(["y"], {})[0].tobytes() != SECRET:
        raise AssertionError
    (tmp_path / "keys").write_bytes(SECRET)
    (snapshot / "model.onnx_data").unlink()
    (snapshot / "model.onnx_data").symlink_to("../../../keys")
    with pytest.raises(ModelError, match="onnx_data: expected"):
        Graph(snapshot / "model.onnx", 1, folder=snapshot.parent)


def test_operators_of_a_library_are_refused(folder: Path) -> None:
    path = folder / "model.onnx"
    path.write_bytes(
        model(
            graph(node("Run", (), ("y",), domain="ai.onnx.contrib")),
            more=field(8, field(1, "ai.onnx.contrib")),
        )
    )
    with pytest.raises(ModelError, match=r"not of 'ai\.onnx\.contrib'"):
        Graph(path, 1)


def nested(depth: int) -> bytes:
    """Graphs in operators of graphs."""
    inner = graph(node("Identity", ("w",), ("z",)), initializers=(inline(1),), output="z")
    for _ in range(depth):
        inner = graph(node("If", ("c",), ("z",), more=attribute("then_branch", graph=inner)), output="z")
    return model(inner)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00",
        b"\xff" * 4096,
        b"\x0b" * 64,
        nested(200),
        field(7, b"\x0a\xff\xff\xff\xff\x0f"),
        model(graph(value_info("x", 1)))[:-1],
        as_initializer(field(13, field(1, "location") + field(2, "x" * 10_000))),
        as_initializer(field(13, field(1, "offset") + field(2, "1"))),
        as_initializer(2 * field(13, field(1, "location") + field(2, "model.onnx"))),
    ],
    ids=range(10),
)
def test_what_is_no_model(folder: Path, data: bytes) -> None:
    path = folder / "model.onnx"
    path.write_bytes(data)
    with pytest.raises(ModelError, match=r"model\.onnx: expected"):
        Graph(path, 1)

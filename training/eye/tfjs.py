"""Reading a graph model of TensorFlow.js: a topology in JSON, and its weights in binary files beside it."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Node:
    """One operation; an input `name:1` is the second output of `name`."""

    op: str
    name: str
    inputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    def text(self, key: str) -> str:
        """An attribute that is text, which the file holds in base64."""
        return base64.b64decode(self.attributes[key]["s"]).decode()

    def integers(self, key: str) -> list[int]:
        """An attribute that is a list of integers."""
        return [int(value) for value in self.attributes[key]["list"].get("i", [])]

    def shape(self) -> list[int]:
        """The shape that a placeholder has."""
        return [int(item["size"]) for item in self.attributes["shape"]["shape"]["dim"]]

    def flag(self, key: str) -> bool:
        """An attribute that is true or false; the file leaves out what is false."""
        return bool(self.attributes.get(key, {}).get("b", False))


@dataclass(frozen=True)
class TfjsGraph:
    """`nodes` in the file's order, which is one to compute them in; `weights` as the file stores them."""

    nodes: tuple[Node, ...]
    weights: Mapping[str, NDArray[Any]]
    outputs: tuple[str, ...]


def read_tfjs(path: Path) -> TfjsGraph:
    """The graph of a `.json`. Raises ValueError when its weights are not as it says."""
    values = json.loads(path.read_text())
    weights: dict[str, NDArray[Any]] = {}
    for group in values["weightsManifest"]:
        content = b"".join((path.parent / name).read_bytes() for name in group["paths"])
        weights |= _weights(group["weights"], content, path)
    nodes = tuple(
        Node(item["op"], item["name"], tuple(item.get("input", ())), item.get("attr", {}))
        for item in values["modelTopology"]["node"]
    )
    return TfjsGraph(nodes, weights, tuple(values["signature"]["outputs"]))


def _weights(entries: list[dict[str, Any]], content: bytes, path: Path) -> dict[str, NDArray[Any]]:
    made, start = {}, 0
    for entry in entries:
        stored = np.dtype(entry.get("quantization", entry)["dtype"]).newbyteorder("<")
        if stored not in (np.float16, np.float32, np.int32):
            raise ValueError(f"{path}: expected weights of float16, float32 or int32, not {stored}")
        count = int(np.prod(entry["shape"], dtype=np.int64))
        end = start + count * stored.itemsize
        if end > len(content):
            raise ValueError(f"{path}: expected at least {end} bytes of weights, not {len(content)}")
        made[entry["name"]] = np.frombuffer(content[start:end], stored).reshape(entry["shape"])
        start = end
    if start != len(content):
        raise ValueError(f"{path}: expected {start} bytes of weights, not {len(content)}")
    return made

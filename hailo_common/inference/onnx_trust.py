"""What an ONNX file would make ONNX Runtime open or run, found without ONNX Runtime.

Version 1.21, which Debian 13 has, follows absolute paths, `..` and links of external weights: a model could
answer with the contents of any file that the service may read. So every tensor is visited first, wherever it
stands: initialisers, attributes, subgraphs, functions, sparse ones, training graphs. The file is read
as protobuf's wire format, of which large weights are skipped. Source of the field numbers: `onnx.proto` of
ONNX 1.17.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from hailo_common.errors import ModelError
from hailo_common.inference.folder_trust import within
from hailo_common.inference.onnx_wire import BYTES, Field, read

_DEEPEST = 100
"""Messages within messages; protobuf itself reads no more."""
_NODE, _ENTRY, _DOMAIN, _OWN_DOMAIN = "node", "entry", "domain", "own domain"
_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc"})
"""Operators that ONNX Runtime itself brings; others come in libraries, which are programs."""
_LONGEST_NAME = 4096

Fields: TypeAlias = Mapping[int, str]
_MESSAGES: Mapping[str, Fields] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: _NODE, 5: "tensor", 15: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "function": {7: _NODE, 10: _OWN_DOMAIN, 11: "attribute"},
    _NODE: {5: "attribute", 7: _DOMAIN},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "tensor": {13: _ENTRY},
}
"""Of each message the fields that lead to tensors or operators, by number."""


@dataclass
class _Found:
    """Where external weights are said to lie; domains of operators, and those that the file defines."""

    entries: list[dict[bytes, bytes]] = field(default_factory=list)
    domains: set[bytes] = field(default_factory=set)
    own: set[bytes] = field(default_factory=set)


def check_onnx(folder: Path, path: Path) -> None:
    """Raise ModelError naming the file when it is no ONNX model, or reaches for what is not the folder's."""
    real = within(folder, path)
    found = _Found()
    try:
        with real.open("rb") as file:
            # The mapping goes with the last view of it.
            _walk(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)), "model", 0, found)
    except ValueError:
        raise ModelError(f"{path}: expected an ONNX model; download it again") from None
    foreign = sorted(found.domains - found.own - {name.encode() for name in _DOMAINS})
    if foreign:
        raise ModelError(
            f"{path}: expected operators of ONNX and ONNX Runtime only, not of {_shown(foreign[0])};"
            " libraries of operators are not loaded"
        )
    for entry in found.entries:
        _check_weights(folder, path, entry)


def _check_weights(folder: Path, path: Path, entry: Mapping[bytes, bytes]) -> None:
    try:
        name = entry[b"location"].decode("utf-8")
        first, size = (int(entry.get(key, b"0") or b"0") for key in (b"offset", b"length"))
    except (KeyError, ValueError):
        raise ModelError(f"{path}: expected external weights with a file's name, offset and length") from None
    parts = name.split("/")
    if not name or "\0" in name or "\\" in name or not all(parts) or ".." in parts or "." in parts:
        raise ModelError(
            f"{path}: expected external weights in files beside it, not in {_shown(entry[b'location'])}"
        )
    weights = within(folder, path.parent / name)
    if first < 0 or size < 0 or first + size > weights.stat().st_size:
        raise ModelError(f"{path.parent / name}: expected {first + size} bytes, as {path.name} says")


def _shown(name: bytes) -> str:
    return ascii(name[:80].decode("utf-8", "replace"))


def _walk(data: memoryview, kind: str, depth: int, found: _Found) -> None:
    """Visit one message and what lies in it; raises ValueError where it is none."""
    if depth > _DEEPEST:
        raise ValueError("messages within messages without end")
    known = _MESSAGES[kind]
    entries: dict[bytes, bytes] = {}
    for part in _contents(data):
        inner = known.get(part.number)
        if inner is None:
            continue
        if inner == _ENTRY:
            key, value = _pair(part.content)
            if key in entries:
                raise ValueError("an entry that is there twice")
            entries[key] = value
        elif inner == _DOMAIN:
            found.domains.add(_name(part))
        elif inner == _OWN_DOMAIN:
            found.own.add(_name(part))
        else:
            _walk(part.content, inner, depth + 1, found)
    if entries:
        found.entries.append(entries)


def _pair(data: memoryview) -> tuple[bytes, bytes]:
    """Key and value of a `StringStringEntryProto`; of fields that come twice the last one counts."""
    found = {part.number: _name(part) for part in _contents(data)}
    return found.get(1, b""), found.get(2, b"")


def _name(part: Field) -> bytes:
    if len(part.content) > _LONGEST_NAME:
        raise ValueError("a name that is too long")
    return bytes(part.content)


def _contents(data: memoryview) -> Iterator[Field]:
    """The fields that hold bytes; others are stepped over."""
    return (part for part in read(data) if part.kind == BYTES)

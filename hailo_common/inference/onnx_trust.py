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

_DEEPEST = 100
"""Messages within messages; protobuf itself reads no more."""
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
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


class _Malformed(Exception):
    """This is not protobuf, or no model."""


def check_onnx(folder: Path, path: Path) -> None:
    """Raise ModelError naming the file when it is no ONNX model, or reaches for what is not the folder's."""
    real = within(folder, path)
    try:
        with real.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            found = _Found()
            _walk(data, "model", (0, len(data)), 0, found)
    except (_Malformed, ValueError):
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


def _walk(data: mmap.mmap, kind: str, span: tuple[int, int], depth: int, found: _Found) -> None:
    """Visit one message and what lies in it."""
    if depth > _DEEPEST:
        raise _Malformed
    known = _MESSAGES[kind]
    entries: dict[bytes, bytes] = {}
    for number, first, last in _fields(data, *span):
        inner = known.get(number)
        if inner is None:
            continue
        if inner == _ENTRY:
            key, value = _pair(data, first, last)
            if key in entries:
                raise _Malformed
            entries[key] = value
        elif inner == _DOMAIN:
            found.domains.add(_name(data, first, last))
        elif inner == _OWN_DOMAIN:
            found.own.add(_name(data, first, last))
        else:
            _walk(data, inner, (first, last), depth + 1, found)
    if entries:
        found.entries.append(entries)


def _pair(data: mmap.mmap, at: int, end: int) -> tuple[bytes, bytes]:
    """Key and value of a `StringStringEntryProto`; of fields that come twice the last one counts."""
    found = {number: _name(data, first, last) for number, first, last in _fields(data, at, end)}
    return found.get(1, b""), found.get(2, b"")


def _name(data: mmap.mmap, first: int, last: int) -> bytes:
    if last - first > _LONGEST_NAME:
        raise _Malformed
    return data[first:last]


def _fields(data: mmap.mmap, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Number, first byte and end of each field that holds bytes; others are stepped over."""
    while at < end:
        tag, at = _varint(data, at, end)
        kind = tag & 7
        if kind == _BYTES:
            size, at = _varint(data, at, end)
            if size > end - at:
                raise _Malformed
            yield tag >> 3, at, at + size
            at += size
        elif kind == _VARINT:
            _, at = _varint(data, at, end)
        elif kind in (_FIXED32, _FIXED64):
            at += 4 if kind == _FIXED32 else 8
        else:
            raise _Malformed
    if at != end:
        raise _Malformed


def _varint(data: mmap.mmap, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise _Malformed

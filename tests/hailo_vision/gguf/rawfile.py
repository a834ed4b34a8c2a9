"""A GGUF file taken apart and put together again, without minding whether what stands in it can be."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "B", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9
_ALIGNMENT = 32


@dataclass
class Entry:
    """A key with its value: a number, bytes, or a list of one kind `of`."""

    key: bytes
    kind: int
    value: Any
    of: int = 0


@dataclass
class RawTensor:
    """What the header says of a tensor; `data` are the bytes that it really had."""

    name: bytes
    shape: list[int]
    kind: int
    data: bytes
    offset: int | None = None


@dataclass
class RawFile:
    """All of it; `tensor_count` and `entry_count` are what the header claims, None for the truth."""

    entries: list[Entry]
    tensors: list[RawTensor]
    version: int = 3
    tensor_count: int | None = None
    entry_count: int | None = None

    def find(self, key: str) -> Entry | None:
        """The entry of a key."""
        return next((entry for entry in self.entries if entry.key == key.encode()), None)

    def put(self, key: str, kind: int, value: Any, of: int = 0) -> None:
        """Set a key."""
        self.entries = [entry for entry in self.entries if entry.key != key.encode()]
        self.entries.append(Entry(key.encode(), kind, value, of))

    def packed(self) -> bytes:
        """The file's bytes."""
        said = (_or(self.tensor_count, len(self.tensors)), _or(self.entry_count, len(self.entries)))
        parts = [struct.pack("<4sIQQ", b"GGUF", self.version, *said)]
        parts += (_text(entry.key) + _valued(entry) for entry in self.entries)
        offset = 0
        for tensor in self.tensors:
            place = _or(tensor.offset, offset)
            shape = struct.pack(f"<I{len(tensor.shape)}Q", len(tensor.shape), *tensor.shape)
            parts.append(_text(tensor.name) + shape + struct.pack("<IQ", tensor.kind & 0xFFFFFFFF, place))
            offset += len(tensor.data) + -len(tensor.data) % _ALIGNMENT
        head = b"".join(parts)
        data = b"".join(one.data + bytes(-len(one.data) % _ALIGNMENT) for one in self.tensors)
        return head + bytes(-len(head) % _ALIGNMENT) + data


def _or(said: int | None, true: int) -> int:
    return true if said is None else said


def _text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def _valued(entry: Entry) -> bytes:
    if entry.kind != ARRAY:
        return struct.pack("<I", entry.kind) + packed_value(entry.kind, entry.value)
    items = b"".join(packed_value(entry.of, item) for item in entry.value)
    return struct.pack("<IIQ", ARRAY, entry.of, len(entry.value)) + items


def packed_value(kind: int, value: Any) -> bytes:
    """One value; integers are cut to the size of their kind."""
    if kind == STRING:
        return _text(value if isinstance(value, bytes) else str(value).encode())
    layout = NUMBERS.get(kind, "B")
    if isinstance(value, (bytes, list)):
        value = len(value)
    if layout in "fd":
        return struct.pack(f"<{layout}", _float(value, layout))
    size = struct.calcsize(layout)
    whole = int(value) if value == value and abs(value) < 1 << 80 else 0  # noqa: PLR0124 - NaN
    return (whole & (1 << 8 * size) - 1).to_bytes(size, "little")


def _float(value: Any, layout: str) -> float:
    return max(-3.4e38, min(3.4e38, float(value))) if layout == "f" and abs(value) < float("inf") else value


def read_raw(path: Path) -> RawFile:
    """Take a good file apart."""
    return _Reader(path.read_bytes()).read()


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def read(self) -> RawFile:
        _, version, tensors, entries = self._unpack("<4sIQQ")
        made = RawFile([self._entry() for _ in range(entries)], [], version)
        heads = [self._head() for _ in range(tensors)]
        start = self._at + -self._at % _ALIGNMENT
        ends = sorted({offset for *_, offset in heads} | {len(self._data) - start})
        for name, shape, kind, offset in heads:
            end = next(end for end in ends if end > offset)
            made.tensors.append(RawTensor(name, shape, kind, self._data[start + offset : start + end]))
        return made

    def _entry(self) -> Entry:
        key, (kind,) = self._text(), self._unpack("<I")
        if kind != ARRAY:
            return Entry(key, kind, self._value(kind))
        of, count = self._unpack("<IQ")
        return Entry(key, kind, [self._value(of) for _ in range(count)], of)

    def _head(self) -> tuple[bytes, list[int], int, int]:
        name, (dimensions,) = self._text(), self._unpack("<I")
        shape = list(self._unpack(f"<{dimensions}Q"))
        return name, shape, *self._unpack("<IQ")

    def _value(self, kind: int) -> Any:
        return self._text() if kind == STRING else self._unpack("<" + NUMBERS[kind])[0]

    def _text(self) -> bytes:
        (length,) = self._unpack("<Q")
        self._at += length
        return self._data[self._at - length : self._at]

    def _unpack(self, layout: str) -> tuple[Any, ...]:
        found = struct.unpack_from(layout, self._data, self._at)
        self._at += struct.calcsize(layout)
        return found

"""ONNX's messages in the wire format of Protocol Buffers, read without copying and written again.

The `onnx` package would read a file of a gigabyte into Python's memory to change one attribute; here weights
stay where they are. Field numbers: `onnx.proto3` of ONNX 1.12 to 1.23.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_FIXED = {FIXED64: 8, FIXED32: 4}
_LONGEST = 10  # bytes of a varint
_SIGN = 1 << 64
_SHORT = [bytes([value]) for value in range(128)]


class Parts(NamedTuple):
    """A message that is not put together yet: its pieces, and how many bytes they are."""

    pieces: list[bytes | memoryview]
    size: int


class Field(NamedTuple):
    """One field of a message; `start` is where its value begins in the file it was read from."""

    number: int
    kind: int
    value: int | memoryview | bytes | Parts
    start: int = 0

    @property
    def content(self) -> memoryview:
        """The value of a field that is text, bytes or a message; raises ValueError for another kind."""
        if isinstance(self.value, int):
            raise ValueError(f"field {self.number}: expected bytes")
        return memoryview(b"".join(self.value.pieces) if isinstance(self.value, Parts) else self.value)

    @property
    def text(self) -> str:
        """The value of a text; raises ValueError for another kind."""
        return bytes(self.content).decode()

    @property
    def integer(self) -> int:
        """The value of a number; raises ValueError for another kind."""
        if not isinstance(self.value, int):
            raise ValueError(f"field {self.number}: expected a number")
        return self.value - _SIGN if self.value >> 63 else self.value


def read(data: memoryview, base: int = 0) -> Iterator[Field]:
    """The fields of a message that begins `base` bytes into its file; raises ValueError where it is none."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        kind = key & 7
        if kind == VARINT:
            value, place = _varint(data, place)
            yield Field(key >> 3, kind, value)
            continue
        if kind == BYTES:
            size, place = _varint(data, place)
        elif kind in _FIXED:
            size = _FIXED[kind]
        else:
            raise ValueError(f"no wire type {kind}")
        if size > len(data) - place:
            raise ValueError("a field ends after its message")
        yield Field(key >> 3, kind, data[place : place + size], base + place)
        place += size


def write(fields: Iterable[Field]) -> bytes:
    """A message of these fields."""
    return b"".join(_parts(fields).pieces)


def _parts(fields: Iterable[Field]) -> Parts:
    """The same in pieces: a weight that many messages enclose is copied once, at the end."""
    pieces: list[bytes | memoryview] = []
    for number, kind, value, _ in fields:
        pieces.append(_number(number << 3 | kind))
        if isinstance(value, int):
            pieces.append(_number(value))
            continue
        inner = value if isinstance(value, Parts) else Parts([value], len(value))
        if kind == BYTES:
            pieces.append(_number(inner.size))
        pieces += inner.pieces
    return Parts(pieces, sum(map(len, pieces)))


def integer(number: int, value: int) -> Field:
    """A number as a field."""
    return Field(number, VARINT, value % _SIGN)


def text(number: int, value: str) -> Field:
    """A text as a field."""
    return Field(number, BYTES, value.encode())


def message(number: int, *fields: Field) -> Field:
    """A message as a field."""
    return Field(number, BYTES, _parts(fields))


def integers(fields: Iterable[Field], number: int) -> list[int]:
    """All values of a repeated number, packed or not."""
    found: list[int] = []
    for field in fields:
        if field.number != number:
            continue
        if field.kind == VARINT:
            found.append(field.integer)
            continue
        place, data = 0, field.content
        while place < len(data):
            value, place = _varint(data, place)
            found.append(value - _SIGN if value >> 63 else value)
    return found


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    if place < len(data) and data[place] < 128:
        return data[place], place + 1
    value = 0
    for count, byte in enumerate(data[place : place + _LONGEST]):
        value |= (byte & 127) << 7 * count
        if byte < 128 and value < _SIGN:
            return value, place + count + 1
    raise ValueError("a number that does not end, or of more than 64 bits")


def _number(value: int) -> bytes:
    if value < 128:
        return _SHORT[value]
    made = bytearray()
    while value > 127:
        made.append(value & 127 | 128)
        value >>= 7
    made.append(value)
    return bytes(made)

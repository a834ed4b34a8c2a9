"""What a GGUF file says of itself, read and checked before the library opens it.

A file may come from a stranger, and llama.cpp's reader has had its overflows: here every count, length,
offset and size is held against the file and against a bound. Source: the GGUF specification, version 3, and
block sizes of ggml b11549 (`ggml_type_name`, `ggml_type_size`).
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hailo_common.errors import ModelError

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_NUMBERS = {0: "B", 1: "b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 10: "<Q", 11: "<q", 12: "<d"}
_BOOL, _STRING, _ARRAY = 7, 8, 9
_LENGTH = struct.Struct("<Q")
_KINDS = ("u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "str", "", "u64", "i64", "f64")
_MOST_ENTRIES = 65_536
_MOST_NAME = 255
_MOST_TEXT = 4 << 20
_MOST_ITEMS = 4 << 20
_MOST_DIMENSIONS = 4
_BLOCKS = {  # numbers in a block and bytes of it, by type
    **{0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 36)},
    **{10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292)},
    **{16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110)},
    **{22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8)},
    **{29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32, 17)},
}


@dataclass(frozen=True)
class TensorInfo:
    """`shape` begins with the length of a row and ends with no 1; `kind` is a `ggml_type`."""

    shape: tuple[int, ...]
    kind: int


@dataclass(frozen=True)
class Header:
    """Values and their kinds (`u32`, `str`, `[f32]`, ...) by key, tensors by name; `path` for messages."""

    path: Path
    values: Mapping[str, Any]
    kinds: Mapping[str, str]
    tensors: Mapping[str, TensorInfo]

    @property
    def architecture(self) -> str:
        """`general.architecture`; "clip" in a projector."""
        return self.text("general.architecture")

    def text(self, key: str, default: str | None = None) -> str:
        """A text; raises ModelError where it is none, or is not there and has no default."""
        value = self.values.get(key, default)
        if not isinstance(value, str):
            raise ModelError(f"{self.path}: expected a text for {key!r}")
        return value

    def number(self, key: str, default: int | None = None) -> int:
        """An integer of 0 or more; raises ModelError as `text`."""
        value = self.values.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise ModelError(f"{self.path}: expected an integer for {key!r}")
        return value

    def listed(self, key: str, kind: type) -> list[Any]:
        """A list of texts or integers; raises ModelError where it is none."""
        value = self.values.get(key)
        if not isinstance(value, list) or not set(map(type, value)) <= {kind}:
            raise ModelError(f"{self.path}: expected a list for {key!r}")
        return value


def read_header(path: Path) -> Header:
    """Read the header of a file; raises ModelError naming the file and what is wrong with it."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as data:
            return _Reader(path, data).read()
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: expected a GGUF file: {error}") from error
    except struct.error as error:
        raise ModelError(f"{path}: the GGUF header is longer than the file") from error


class _Reader:
    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self._path, self._data, self._at = path, data, 0

    def read(self) -> Header:
        magic, version, tensors, entries = self._unpack("<4sIQQ")
        if magic != _MAGIC or version not in _VERSIONS:
            raise self._error("expected a GGUF file of version 2 or 3")
        self._bound(tensors, _MOST_ENTRIES, "tensors")
        self._bound(entries, _MOST_ENTRIES, "entries")
        values: dict[str, Any] = {}
        kinds: dict[str, str] = {}
        for _ in range(entries):
            key = self._name()
            if key in values:
                raise self._error(f"the key {key!r} is there twice")
            kinds[key], values[key] = self._value(self._unpack("<I")[0])
        alignment = values.get("general.alignment", 32)
        if not isinstance(alignment, int) or not 1 <= alignment <= 1 << 16 or alignment & (alignment - 1):
            raise self._error("expected a power of two for 'general.alignment'")
        return Header(self._path, values, kinds, self._tensors(tensors, alignment))

    def _tensors(self, count: int, alignment: int) -> dict[str, TensorInfo]:
        ends, found = 0, {}
        for _ in range(count):
            name = self._name()
            if name in found:
                raise self._error(f"the tensor {name!r} is there twice")
            found[name], end = self._tensor(name, alignment)
            ends = max(ends, end)
        start = -(-self._at // alignment) * alignment
        if start + ends > len(self._data):
            raise self._error(f"it has {len(self._data)} bytes, and its tensors need {start + ends}")
        return found

    def _tensor(self, name: str, alignment: int) -> tuple[TensorInfo, int]:
        """What is said of it, and the end of its data in bytes from where all data begins."""
        (dimensions,) = self._unpack("<I")
        if not 1 <= dimensions <= _MOST_DIMENSIONS:
            raise self._error(f"the tensor {name!r} has {dimensions} dimensions")
        shape = self._unpack(f"<{dimensions}Q")
        kind, offset = self._unpack("<IQ")
        if kind not in _BLOCKS:
            raise self._error(f"the tensor {name!r} is of a type ({kind}) that is not known here")
        block, size = _BLOCKS[kind]
        elements = math.prod(shape)
        # The file's size bounds everything that follows, so that no product can overflow anywhere.
        if not all(shape) or shape[0] % block or elements // block * size > len(self._data):
            raise self._error(f"the tensor {name!r} has a shape {list(shape)} that cannot be")
        if offset % alignment or offset > len(self._data):
            raise self._error(f"the tensor {name!r} begins at {offset}, outside of the file")
        while len(shape) > 1 and shape[-1] == 1:
            shape = shape[:-1]
        return TensorInfo(shape, kind), offset + elements // block * size

    def _value(self, kind: int) -> tuple[str, Any]:
        if kind == _STRING:
            return "str", self._text(_MOST_TEXT)
        if kind == _BOOL:
            return "bool", bool(self._unpack("B")[0])
        if kind in _NUMBERS:
            return _KINDS[kind], self._unpack(_NUMBERS[kind])[0]
        if kind != _ARRAY:
            raise self._error(f"a value of the type {kind}, which there is not")
        return self._array()

    def _array(self) -> tuple[str, list[Any]]:
        kind, count = self._unpack("<IQ")
        self._bound(count, _MOST_ITEMS, "items of a list")
        if kind == _STRING:
            return "[str]", self._texts(count)
        if kind == _BOOL:
            return "[bool]", [bool(item) for item in self._unpack(f"<{count}B")]
        if kind not in _NUMBERS:
            raise self._error(f"a list of the type {kind}, which there is not")
        return f"[{_KINDS[kind]}]", list(self._unpack(f"<{count}{_NUMBERS[kind][-1]}"))

    def _texts(self, count: int) -> list[str]:
        """A list of texts; vocabularies have hundreds of thousands, so that each call would count."""
        data, at, end, length_at = self._data, self._at, len(self._data), _LENGTH.unpack_from
        found = []
        for _ in range(count):
            (length,) = length_at(data, at)
            at += _LENGTH.size + length
            if at > end:
                raise self._error("the header is longer than the file")
            found.append(str(data[at - length : at], "utf-8", "surrogateescape"))
        self._at = at
        return found

    def _name(self) -> str:
        name = self._text(_MOST_NAME)
        if not name or not name.isprintable():
            raise self._error("a name that is empty or cannot be printed")
        return name

    def _text(self, most: int) -> str:
        (length,) = self._unpack("<Q")
        self._bound(length, most, "bytes of a text")
        start = self._at
        if start + length > len(self._data):
            raise self._error("the header is longer than the file")
        self._at += length
        # Tokens of some vocabularies are pieces of characters.
        return self._data[start : self._at].decode("utf-8", "surrogateescape")

    def _unpack(self, layout: str) -> tuple[Any, ...]:
        found = struct.unpack_from(layout, self._data, self._at)
        self._at += struct.calcsize(layout)
        return found

    def _bound(self, count: int, most: int, what: str) -> None:
        if count > most:
            raise self._error(f"{count} {what}, and at most {most} are read")

    def _error(self, why: str) -> ModelError:
        return ModelError(f"{self._path}: {why}")

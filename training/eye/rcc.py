"""Files in a resource file of Qt (`.rcc`), as GCompris has its pictures.

Source of the format: Qt's documentation of `rcc` and its own reader, `QResource`: big-endian, a tree of
nodes, names in UTF-16, and the contents, each of which may be packed.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

_HEADER = struct.Struct(">4sIIII")
_PACKED, _FOLDER, _ZSTD = 1, 2, 4
_NEWER = 2
"""Version from which each node also has a time."""


def rcc_files(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Name within it, and content, of each file that is not packed with zstd. Raises ValueError."""
    magic, version, tree, data, names = _HEADER.unpack_from(content)
    if magic != b"qres":
        raise ValueError("expected a resource file of Qt")
    size = 22 if version >= _NEWER else 14

    def name_at(offset: int) -> str:
        start = names + offset
        (length,) = struct.unpack_from(">H", content, start)
        return content[start + 6 : start + 6 + 2 * length].decode("utf-16-be")

    def walk(number: int, folder: str) -> Iterator[tuple[str, bytes]]:
        start = tree + number * size
        name_offset, flags, first, second = struct.unpack_from(">IHII", content, start)
        name = folder + name_at(name_offset) if number else ""
        if flags & _FOLDER:
            for child in range(second, second + first):
                yield from walk(child, f"{name}/" if name else "")
        elif not flags & _ZSTD:
            (length,) = struct.unpack_from(">I", content, data + second)
            raw = content[data + second + 4 : data + second + 4 + length]
            yield name, zlib.decompress(raw[4:]) if flags & _PACKED else raw

    yield from walk(0, "")

"""HEIC files for tests: eight real ones, and what they become with a few bytes changed.

`samples/` holds pictures of `scene` that pillow-heif 1.8 made with x265: `turned` (320 x 160, EXIF
orientation 5, which became `irot` and `imir`), `pieces` (240 x 180 in pieces of 64), `odd` (101 x 75, cut by
`clap`), `deep` (64 x 48 in ten bits), `grey` (64 x 48 without colours), `clear` (64 x 48,
transparent at its upper edge), `large` (512 x 512 of `photo`, as a phone's pieces are);
and `circle`, what the services' tests call a red circle.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from hailo_common.images.boxes import read_meta
from hailo_common.images.heif.libde265 import PACKAGE, available
from tests.limits import image_limits

SAMPLES = {
    path.stem: path.read_bytes() for path in sorted((Path(__file__).parent / "samples").glob("*.heic"))
}
needs_codec = pytest.mark.skipif(not available(), reason=f"{PACKAGE} is not installed")


def with_box(data: bytes, kind: bytes, content: bytes, *, nth: int = 0, skip: int = 0) -> bytes:
    """The file with the first bytes of a box's content changed, behind `skip` of them."""
    at = -1
    for _ in range(nth + 1):
        at = data.index(kind, at + 1)
    at += len(kind) + skip
    return data[:at] + content + data[at + len(content) :]


def turned(quarters: int, sideways: bool) -> bytes:
    """The picture of 320 x 160 turned against the clock, then mirrored."""
    data = with_box(SAMPLES["turned"], b"irot", bytes([quarters]))
    return with_box(data, b"imir", bytes([sideways]))


def with_size(data: bytes, size: tuple[int, int]) -> bytes:
    """The file with every size in its boxes changed."""
    for nth in range(data.count(b"ispe")):
        data = with_box(data, b"ispe", struct.pack(">II", *size), nth=nth, skip=4)
    return data


def box(kind: bytes, *contents: bytes) -> bytes:
    """One box."""
    body = b"".join(contents)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def grid(
    size: tuple[int, int],
    shape: tuple[int, int],
    parts: Sequence[int] | None = None,
    *,
    piece: tuple[int, int] = (64, 64),
    of: str = "pieces",
    same: bool = True,
    pad: int = 0,
) -> bytes:
    """A file of `shape` columns and rows of one piece: a corner of `pieces`, or all of another sample.

    `parts` are the items that the image names, numbered from 2. All of them have the piece's bytes in one
    place, if they are the `same`, else each has its own copy; `pad` bytes of filler make the piece longer.
    """
    source = SAMPLES[of]
    meta = read_meta(memoryview(source), image_limits())
    assert meta
    first = meta.item(2 if meta.parts else 1)
    data = meta.payload(first, memoryview(source))
    if pad:
        data += struct.pack(">I", pad + 2) + b"\x4c\x01" + b"\xff" * pad
    count = shape[0] * shape[1]
    made = _Grid(size, shape, parts or range(2, 2 + count), piece, bytes(meta.of(first, b"hvcC") or b""))
    head = box(b"ftyp", b"heic", bytes(4), b"mif1heic")
    start = len(head) + len(made.boxes([(0, 0)] * count)) + 8
    places = [(start + (0 if same else index * len(data)), len(data)) for index in range(count)]
    return head + made.boxes(places) + box(b"mdat", data * (1 if same else count))


@dataclass
class _Grid:
    size: tuple[int, int]
    shape: tuple[int, int]
    parts: Sequence[int]
    piece: tuple[int, int]
    config: bytes

    def boxes(self, places: Sequence[tuple[int, int]]) -> bytes:
        """All that describes the image, its pieces at these offsets and of these lengths."""
        numbers = range(2, 2 + len(places))
        kinds = [(1, b"grid"), *((number, b"hvc1") for number in numbers)]
        entries = [box(b"infe", b"\2\0\0\0", struct.pack(">HH4sx", n, 0, kind)) for n, kind in kinds]
        lines = [struct.pack(">HHHHII", 1, 1, 0, 1, 0, 12)]
        lines += [
            struct.pack(">HHHHII", n, 0, 0, 1, *place) for n, place in zip(numbers, places, strict=True)
        ]
        named = struct.pack(f">HH{len(self.parts)}H", 1, len(self.parts), *self.parts)
        return box(
            b"meta",
            bytes(4),
            box(b"pitm", bytes(4), b"\0\1"),
            box(b"iinf", bytes(4), struct.pack(">H", len(entries)), *entries),
            box(b"iloc", b"\1\0\0\0\x44\0", struct.pack(">H", len(lines)), *lines),
            box(b"iref", bytes(4), box(b"dimg", named)),
            self._properties(numbers),
            box(b"idat", struct.pack(">BBBBII", 0, 1, self.shape[1] - 1, self.shape[0] - 1, *self.size)),
        )

    def _properties(self, numbers: range) -> bytes:
        made = (
            box(b"ispe", bytes(4), struct.pack(">II", *self.size)),
            box(b"hvcC", self.config),
            box(b"ispe", bytes(4), struct.pack(">II", *self.piece)),
        )
        used = [struct.pack(">HBB", 1, 1, 1), *(struct.pack(">HBBB", n, 2, 2, 3) for n in numbers)]
        used_by = box(b"ipma", bytes(4), struct.pack(">I", len(used)), *used)
        return box(b"iprp", box(b"ipco", *made), used_by)

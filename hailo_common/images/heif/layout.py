"""How the image of a HEIC file is put together: its pieces, and how they are cut, turned and mirrored.

Phones store a photograph as a grid of pieces of 512 pixels, so that one of 50 megapixels can be made smaller
piece by piece. How opaque it is lies in another item; thumbnails, depth and gain maps do, too, and nobody
reads those. Source: ISO/IEC 23008-12. All of it raises ServiceError, or IndexError or struct.error where the
data ends early.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from hailo_common.images.boxes import Item, Meta, grid_size, read_meta
from hailo_common.images.heif import hevc
from hailo_common.images.limits import Buffer, Format, Header, ImageLimits, image_error

_CODED, _GRID = b"hvc1", b"grid"
_MAX_PIECES = 1024
_LEAST_PIECE = 64
_MAX_CONFIG = 16 * 1024
_SMALLER = 8
"""Pieces whose sides are a multiple of this are made smaller while they are put together."""
_QUARTERS = 4
_UNSPECIFIED = 2
_OPACITY = (b"urn:mpeg:hevc:2015:auxid:1\0", b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0")


@dataclass(frozen=True)
class Crop:
    """`clap`: the middle of what is left lies this far from the middle of all."""

    width: Fraction
    height: Fraction
    right: Fraction
    down: Fraction


@dataclass(frozen=True)
class Turn:
    """`irot`: quarters of a circle against the clock."""

    quarters: int


@dataclass(frozen=True)
class Mirror:
    """`imir`: top and bottom change places, or left and right."""

    sideways: bool


Step = Crop | Turn | Mirror


@dataclass(frozen=True)
class Colours:
    """`colr` of the kind `nclx`: the numbers of H.265 E.3.1."""

    matrix: int
    full_range: bool


class Layout:
    """An image of a file whose boxes were read: `number` is its item."""

    def __init__(self, meta: Meta, file: memoryview, limits: ImageLimits, number: int) -> None:
        self.meta, self.file, self.limits, self.number = meta, file, limits, number
        item = self._item()
        self.width, self.height = meta.size(item)
        self.steps = tuple(self._steps(item))
        self.columns, self.pieces = 1, [item]
        if item.kind == _GRID:
            self._read_grid(item)
        self.piece = meta.size(self.pieces[0])
        self.colours = self._colours(item) or self._colours(self.pieces[0])

    @property
    def can_shrink(self) -> bool:
        """Whether the image can be made smaller by up to eight while it is put together."""
        return len(self.pieces) > 1 and not any(side % _SMALLER for side in self.piece)

    def opacity(self) -> Layout | None:
        """How opaque each pixel is, which is an image of its own."""
        for number, owner in self.meta.owners.items():
            item = self.meta.items.get(number)
            if owner != self.number or item is None:
                continue
            if bytes(self.meta.of(item, b"auxC") or b"")[4:].startswith(_OPACITY):
                found = Layout(self.meta, self.file, self.limits, number)
                if (found.width, found.height) != (self.width, self.height):
                    raise image_error("invalid_image", self.limits)
                found.colours = Colours(_UNSPECIFIED, full_range=True)
                return found
        return None

    def seen_size(self) -> tuple[int, int]:
        """Width and height as a viewer shows the image."""
        size = self.width, self.height
        for step in self.steps:
            if isinstance(step, Crop):
                size = int(step.width), int(step.height)
            elif isinstance(step, Turn) and step.quarters % 2:
                size = size[::-1]
        return size

    def units(self, piece: Item) -> Iterator[bytes]:
        """The NAL units of a piece, without those that all pieces share."""
        return hevc.units(self.meta.payload(piece, self.file), self._sets(piece)[0], self.limits)

    def sets(self, piece: Item) -> list[bytes]:
        """The parameter sets of a piece."""
        return self._sets(piece)[1]

    def check(self) -> None:
        """Every piece holds one frame of its size, and all of them cover the image once."""
        wide, high = self.piece
        rows = len(self.pieces) // self.columns
        enough = wide * self.columns >= self.width and high * rows >= self.height
        spare = wide * (self.columns - 1) >= self.width or high * (rows - 1) >= self.height
        if not enough or spare or any(self.meta.size(piece) != self.piece for piece in self.pieces):
            raise image_error("invalid_image", self.limits)
        checked: set[bytes] = set()
        for piece in self.pieces:
            config = bytes(self._config(piece))
            if config not in checked:
                hevc.check_sets(self.sets(piece), self.piece, self.limits)
                checked.add(config)
            hevc.check_frame(self.units(piece), self.piece, self.limits)

    def _item(self) -> Item:
        item = self.meta.items.get(self.number)
        if item is None:
            raise image_error("invalid_image", self.limits)
        if item.kind not in (_CODED, _GRID):
            raise image_error("heic_other_codec", self.limits)
        return item

    def _read_grid(self, item: Item) -> None:
        data = self.meta.payload(item, self.file)
        rows, self.columns = data[2] + 1, data[3] + 1
        numbers = self.meta.parts.get(self.number, ())
        if grid_size(data) != (self.width, self.height) or not rows * self.columns == len(numbers):
            raise image_error("invalid_image", self.limits)
        if len(numbers) > _MAX_PIECES:
            raise image_error("too_many_chunks", self.limits)
        self.pieces = [self.meta.item(number) for number in numbers]
        if any(piece.kind != _CODED for piece in self.pieces):
            raise image_error("heic_other_codec", self.limits)
        if min(self.meta.size(self.pieces[0])) < _LEAST_PIECE:
            raise image_error("invalid_image", self.limits)

    def _config(self, piece: Item) -> memoryview:
        body = self.meta.of(piece, b"hvcC")
        if body is None or len(body) > _MAX_CONFIG:
            raise image_error("invalid_image", self.limits)
        return body

    def _sets(self, piece: Item) -> tuple[int, list[bytes]]:
        return hevc.parameter_sets(self._config(piece), self.limits)

    def _steps(self, item: Item) -> Iterator[Step]:
        for kind, body in self.meta.each(item):
            if kind == b"irot":
                yield Turn(body[0] % _QUARTERS)
            elif kind == b"imir":
                yield Mirror(bool(body[0] & 1))
            elif kind == b"clap":
                yield self._crop(body)

    def _crop(self, body: memoryview) -> Crop:
        numbers = struct.unpack_from(">IIIIiIiI", body)
        if not all(numbers[1::2]):
            raise image_error("invalid_image", self.limits)
        wide, high, right, down = (Fraction(*pair) for pair in zip(numbers[::2], numbers[1::2], strict=True))
        inside = 1 <= wide <= self.width - 2 * abs(right) and 1 <= high <= self.height - 2 * abs(down)
        if not inside:
            raise image_error("invalid_image", self.limits)
        return Crop(wide, high, right, down)

    def _colours(self, item: Item) -> Colours | None:
        for kind, body in self.meta.each(item):
            if kind == b"colr" and bytes(body[:4]) == b"nclx":
                _, _, matrix, flags = struct.unpack_from(">HHHB", body, 4)
                return None if matrix == _UNSPECIFIED else Colours(matrix, bool(flags >> 7))
        return None


def read_heic(data: Buffer, limits: ImageLimits) -> Header:
    """The primary image's size, as a viewer shows it; every piece of it is held against the limits."""
    layout = layout_of(data, limits)
    images = [each for each in (layout, layout.opacity()) if each is not None]
    can_shrink = all(each.can_shrink for each in images)
    most = max(limits.max_pixels, limits.max_jpeg_pixels if can_shrink else 0)
    if layout.width * layout.height > most:
        raise image_error("too_many_pixels", limits)
    for each in images:
        each.check()
    return Header(Format.HEIC, *layout.seen_size(), can_shrink=can_shrink)


def layout_of(data: Buffer, limits: ImageLimits) -> Layout:
    """The primary image of a file."""
    file = memoryview(data)
    meta = read_meta(file, limits)
    if meta is None:
        raise image_error("heic_other_codec", limits)
    return Layout(meta, file, limits, meta.primary)

"""What a picture's file claims to be."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

Buffer = bytes | bytearray | memoryview
Ending = Literal["whole", "unmarked", "cut"]


class Format(Enum):
    """The three formats that are accepted."""

    JPEG = "JPEG"
    PNG = "PNG"
    WEBP = "WEBP"


@dataclass(frozen=True)
class Header:
    """Size as stored, before any EXIF rotation.

    `ending` is "unmarked" for a JPEG that may miss nothing but its end marker, as some cameras send them.
    """

    format: Format
    width: int
    height: int
    ending: Ending = "whole"
    bit_depth: int = 8

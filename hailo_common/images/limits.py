"""How much of a stranger's picture the decoder is willing to look at."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

_BASE_BYTES = 128 * 1024 * 1024
_BYTES_PER_PIXEL = 26


@dataclass(frozen=True)
class Limits:
    """Caps that are checked before Pillow decodes anything.

    25 million pixels admit the 24.5 of today's telephones and full-frame cameras. A picture one pixel wide
    or high is refused: it shows nothing, and such pictures have crashed models.
    """

    max_bytes: int = 10_000_000
    max_pixels: int = 25_000_000
    min_side: int = 2
    max_side: int = 8192
    max_scans: int = 100
    max_chunks: int = 10_000

    @property
    def memory_bytes(self) -> int:
        """Address space: Python and Pillow, then WebP's 20 bytes a pixel, the worst that was measured."""
        return _BASE_BYTES + 2 * self.max_bytes + _BYTES_PER_PIXEL * self.max_pixels

    def to_json(self) -> dict[str, Any]:
        """The same as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Limits:
        """The inverse of `to_json`; raises TypeError for unknown fields."""
        return cls(**value)

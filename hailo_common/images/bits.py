"""Reading single bits, most significant first, as codecs' headers are written."""

from __future__ import annotations

from hailo_common.images.limits import Buffer


class Bits:
    """A position in some bytes; reading past their end raises IndexError."""

    def __init__(self, data: Buffer) -> None:
        self._data = data
        self._at = 0

    def read(self, count: int) -> int:
        """The next `count` bits as a number."""
        first, self._at = self._at, self._at + count
        end = -(-self._at // 8)
        if end > len(self._data):
            raise IndexError
        value = int.from_bytes(self._data[first // 8 : end], "big")
        return value >> (end * 8 - self._at) & ((1 << count) - 1)

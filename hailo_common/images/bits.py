"""Reading single bits, most significant first, as codecs' headers are written."""

from __future__ import annotations

from hailo_common.images.limits import Buffer

_MAX_LEADING_ZEROS = 32


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

    def read_ue(self) -> int:
        """An unsigned Exp-Golomb number (H.265, 9.2)."""
        zeros = 0
        while not self.read(1):
            zeros += 1
            if zeros > _MAX_LEADING_ZEROS:
                raise IndexError
        return (1 << zeros) - 1 + self.read(zeros)


def without_emulation(data: bytes) -> bytes:
    """The payload of a unit without the bytes that keep start codes out of it (H.265, 7.4.2)."""
    return data.replace(b"\0\0\3", b"\0\0")

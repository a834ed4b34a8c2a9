"""A decoded picture that lies in a memfd: the HTTP process forwards it and never maps it.

An encoded picture in a memfd: however many wait, none of them lies in the HTTP process.
"""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hailo_common.images.limits import Buffer, Format, ImageLimits
from hailo_common.images.resize import ResizeSpec
from hailo_common.ipc.messages import memfd_with
from hailo_common.resources import OwnedFile

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


@dataclass(eq=False)
class DecodedImage(OwnedFile):
    """`height` * `width` * 3 bytes of RGB behind `fd`; a context manager that closes it.

    `original_width` and `original_height` are the sent picture's, as a viewer shows it.
    """

    fd: int
    width: int
    height: int
    original_width: int
    original_height: int
    format: Format

    @property
    def bytes(self) -> int:
        """The memfd's length."""
        return self.width * self.height * 3


def decoded_image_of(
    answer: Mapping[str, Any], fds: Sequence[int], target: ResizeSpec, limits: ImageLimits
) -> DecodedImage:
    """Check an answer of the decoder as if the picture had taken it over; raises ValueError.

    The seals are checked because a file that shrinks under the engine's mapping would kill it by SIGBUS.
    """
    (fd,) = fds
    width, height = (answer.get("original_width"), answer.get("original_height"))
    if not all(type(side) is int and 1 <= side <= limits.max_side for side in (width, height)):
        raise ValueError("the decoder answered with an impossible original size")
    size = target.size_for(width, height)  # type: ignore[arg-type]
    if (answer.get("width"), answer.get("height")) != size:
        raise ValueError("the decoder answered with another size")
    if os.fstat(fd).st_size != size[0] * size[1] * 3:
        raise ValueError("the decoder answered with another number of bytes")
    if fcntl.fcntl(fd, fcntl.F_GET_SEALS) & _SEALS != _SEALS:
        raise ValueError("the decoder answered with an unsealed file")
    return DecodedImage(fd, *size, width, height, Format(answer.get("format")))  # type: ignore[arg-type]


class EncodedImage(OwnedFile):
    """`size` bytes of a picture file behind `fd`; a context manager that closes it."""

    def __init__(self, data: Buffer) -> None:
        self.size = len(data)
        self.fd = memfd_with("upload", [data])

    def digest(self) -> bytes:
        """SHA-256 of the file, which must not be empty."""
        with mmap.mmap(self.fd, self.size, prot=mmap.PROT_READ) as data:
            return hashlib.sha256(data).digest()

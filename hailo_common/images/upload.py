"""An encoded picture in a memfd: however many wait, none of them lies in the HTTP process."""

from __future__ import annotations

import hashlib
import mmap

from hailo_common.channel import memfd_with
from hailo_common.images.formats import Buffer
from hailo_common.owned import OwnedFile


class Upload(OwnedFile):
    """`size` bytes of a picture file behind `fd`; a context manager that closes it."""

    def __init__(self, data: Buffer) -> None:
        self.size = len(data)
        self.fd = memfd_with("upload", [data])

    def digest(self) -> bytes:
        """SHA-256 of the file, which must not be empty."""
        with mmap.mmap(self.fd, self.size, prot=mmap.PROT_READ) as data:
            return hashlib.sha256(data).digest()

"""An encoded picture in a memfd: however many wait, none of them lies in the HTTP process."""

from __future__ import annotations

import os
from types import TracebackType

from hailo_common.channel import memfd_with
from hailo_common.images.formats import Buffer


class Upload:
    """`size` bytes of a picture file behind `fd`; a context manager that closes it."""

    def __init__(self, data: Buffer) -> None:
        self.size = len(data)
        self.fd = memfd_with("upload", [data])

    def close(self) -> None:
        """Close the memfd; may be called twice."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Upload:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

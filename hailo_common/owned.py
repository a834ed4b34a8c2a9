"""A file descriptor with one owner."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Self


class OwnedFile:
    """Closes `fd` once: by `close`, which may be called twice, or at the end of a `with` block."""

    fd: int

    def close(self) -> None:
        """Close the file."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

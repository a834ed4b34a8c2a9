"""What has one owner, who closes it."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Self


class Closeable:
    """A context manager: the end of a `with` block closes it."""

    def close(self) -> None:
        """Release what it holds. May be called twice."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class OwnedFile(Closeable):
    """A file descriptor `fd`."""

    fd: int

    def close(self) -> None:
        """Close the file. May be called twice."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

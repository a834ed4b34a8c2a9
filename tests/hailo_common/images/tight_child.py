"""The real child with less memory than its limits on pixels would need."""

from __future__ import annotations

from hailo_common.images import child
from hailo_common.images.limits import ImageLimits


class TightLimits(ImageLimits):
    """150 MB of address space whatever the number of pixels."""

    @property
    def memory_bytes(self) -> int:
        """A constant."""
        return 150 * 1024 * 1024


if __name__ == "__main__":
    child.ImageLimits = TightLimits  # type: ignore[attr-defined]
    child.main()

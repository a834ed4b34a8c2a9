"""Numbers of bytes for people."""

from __future__ import annotations


def size_text(size: float) -> str:
    """A number of bytes in powers of ten: `2.18 GB`."""
    if size < 1000:
        return f"{size:.0f} B"
    for unit in ("kB", "MB", "GB", "TB"):
        size /= 1000
        if size < 999.5 or unit == "TB":
            break
    return f"{size:.3g} {unit}"

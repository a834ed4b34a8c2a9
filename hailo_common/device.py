"""Is a Hailo device there? Asked of the file system only; nothing here opens it."""

from __future__ import annotations

from pathlib import Path


def device_nodes(dev: Path = Path("/dev")) -> list[Path]:
    """The device nodes of both driver generations (`/dev/hailo0`, `/dev/h1x-0`), sorted."""
    return sorted(node for pattern in ("hailo[0-9]*", "h1x-[0-9]*") for node in dev.glob(pattern))

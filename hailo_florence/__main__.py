"""hailo-florence-server."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from hailo_common.main import run_service
from hailo_florence.config import ENGINE, SERVICE, FlorenceSettings


def main(argv: Sequence[str] | None = None) -> int:
    """Run the service; returns its exit status."""
    return run_service(
        SERVICE,
        FlorenceSettings,
        ENGINE,
        "hailo_florence.service",
        bundled=Path(__file__).parent,
        argv=argv,
    )


if __name__ == "__main__":
    sys.exit(main())

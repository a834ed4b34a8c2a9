"""hailo-florence-server."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from hailo_common.main import run_service
from hailo_florence.config import ENGINE, SERVICE, FlorenceSettings

BUNDLED_DEMO = Path(__file__).parent / "demo_model"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the service; returns its exit status."""
    return run_service(
        SERVICE,
        FlorenceSettings,
        ENGINE,
        "hailo_florence.service",
        demo_name="florence-2",
        bundled_demo=BUNDLED_DEMO,
        argv=argv,
    )


if __name__ == "__main__":
    sys.exit(main())

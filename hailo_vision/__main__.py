"""hailo-vision-server."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from hailo_common.main import run_service
from hailo_vision.config import ENGINE, SERVICE, VisionSettings

BUNDLED_DEMO = Path(__file__).parent / "demo_model"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the service; returns its exit status."""
    return run_service(
        SERVICE,
        VisionSettings,
        ENGINE,
        "hailo_vision.service",
        demo_name="qwen2-vl",
        bundled_demo=BUNDLED_DEMO,
        argv=argv,
    )


if __name__ == "__main__":
    sys.exit(main())

"""hailo-florence-server: reads the configuration, opens the socket, builds the service, runs it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from hailo_common.config.cli import parse_command_line
from hailo_common.config.places import Places
from hailo_common.daemon.logs import setup_logging
from hailo_common.daemon.sockets import ListenError, listening_sockets
from hailo_florence.config import SERVICE, Settings
from hailo_florence.service import build

INSTALLED_DEMO = Path("/usr/share/hailo-demo-models/florence-2")
BUNDLED_DEMO = Path(__file__).parent / "demo_model"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the service; returns its exit status."""
    line = parse_command_line(SERVICE, Settings, argv)
    settings = line.settings
    setup_logging(SERVICE, settings.log_level)
    if line.demo and not settings.model_dir:
        model_dir = INSTALLED_DEMO if INSTALLED_DEMO.is_dir() else BUNDLED_DEMO
    else:
        model_dir = Places().models(SERVICE, settings.model_dir)
    try:
        sockets = listening_sockets(settings.host, settings.port)
    except ListenError as error:
        print(f"{SERVICE}: {error}", file=sys.stderr)
        return error.exit_status
    return asyncio.run(build(settings, str(model_dir)).run(sockets))


if __name__ == "__main__":
    sys.exit(main())

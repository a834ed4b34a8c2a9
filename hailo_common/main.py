"""The main program of a service: reads the configuration, opens the socket, builds the service, runs it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from hailo_common.config.cli import fail, parse_command_line
from hailo_common.config.places import Places
from hailo_common.config.settings import CommonSettings
from hailo_common.daemon.logs import setup_logging
from hailo_common.daemon.sockets import ListenError, listening_sockets
from hailo_common.errors import ConfigError
from hailo_common.service import Build

_INSTALLED_DEMOS = Path("/usr/share/hailo-demo-models")


def run_service(
    service: str,
    settings: type[CommonSettings],
    build: Build,
    *,
    demo_name: str,
    bundled_demo: Path,
    argv: Sequence[str] | None = None,
) -> int:
    """Run the service; returns its exit status.

    The demo model is `demo_name` among the installed ones, else the folder `bundled_demo`.
    """
    line = parse_command_line(service, settings, argv)
    setup_logging(service, line.settings.log_level)
    model_dir = Places().models(service, line.settings.model_dir)
    if line.demo and not line.settings.model_dir:
        installed = _INSTALLED_DEMOS / demo_name
        model_dir = installed if installed.is_dir() else bundled_demo
        if not (model_dir / "config.json").is_file():
            print(f"{service}: the demo model is not in {model_dir}", file=sys.stderr)
            return 1
    try:
        sockets = listening_sockets(line.settings.host, line.settings.port)
    except ListenError as error:
        print(f"{service}: {error}", file=sys.stderr)
        return error.exit_status
    try:
        made = build(line.settings, str(model_dir))
    except ConfigError as error:
        fail(f"{service}-server", error)
    return asyncio.run(made.run(sockets))

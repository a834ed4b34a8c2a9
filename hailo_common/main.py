"""The main program of a service: reads the configuration, opens the socket, builds the service, runs it."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from hailo_common.config.command_line import CommandLine, fail, parse_command_line
from hailo_common.config.common_keys import CommonSettings
from hailo_common.config.paths import Paths
from hailo_common.engine.session import EngineSpec, StartedEngine
from hailo_common.errors import ConfigError
from hailo_common.ipc.walls import undumpable
from hailo_common.models.selection import ModelChoice, ServedFolder, arrived, choose_folders
from hailo_common.systemd.logging import setup_logging
from hailo_common.systemd.sockets import ListenError, listening_sockets

if TYPE_CHECKING:
    from hailo_common.service import Build, Service

log = logging.getLogger(__name__)

_LOOK_S = 10.0
"""How often a service that runs on the demo model looks whether the real one has arrived."""


def run_service(
    service: str,
    settings: type[CommonSettings],
    engine: str,
    service_module: str,
    *,
    demo_name: str,
    bundled_demo: Path,
    argv: Sequence[str] | None = None,
) -> int:
    """Run the service; returns its exit status.

    `engine` is the factory of its engine; `service_module` names the module whose `build` makes the service.
    It is imported while the engine loads, because it brings the web framework. The demo model is `demo_name`
    among the installed ones, else the folder `bundled_demo`.
    """
    undumpable()
    line = parse_command_line(service, settings, argv)
    setup_logging(service, line.settings.log_level)
    places = Paths()
    installed = places.demos() / demo_name
    demo = installed if installed.is_dir() else bundled_demo
    try:
        served = _choose(service, line, places, demo, demo_name)
    except ConfigError as error:
        fail(f"{service}-server", error)
    folders = [each.choice.folder for each in served]
    if demo in folders and not (demo / "config.json").is_file():
        print(
            f"{service}: the demo model is not in {demo}; its package is hailo-demo-models", file=sys.stderr
        )
        return 1
    try:
        sockets = listening_sockets(line.settings.host, line.settings.port)
    except ListenError as error:
        print(f"{service}: {error}", file=sys.stderr)
        return error.exit_status
    started = None
    if not line.settings.served():
        spec = EngineSpec.of(service, line.settings, factory=engine, model_dir=str(folders[0]))
        started = StartedEngine(spec)
    try:
        build: Build = import_module(service_module).build
        named = served if line.settings.served() else ()
        made = build(line.settings, str(folders[0]), started=started, served=named)
    except ConfigError as error:
        if started is not None:
            started.kill()
        fail(f"{service}-server", error)
    return asyncio.run(_run(made, sockets, [each.choice for each in served], places))


def _choose(
    service: str, line: CommandLine[CommonSettings], places: Paths, demo: Path, demo_name: str
) -> list[ServedFolder]:
    if line.demo and not line.settings.model_dir and not line.settings.served():
        return [ServedFolder("", ModelChoice(demo))]
    return choose_folders(service, line.settings, places, demo=demo, demo_name=demo_name)


async def _run(
    made: Service, sockets: list[socket.socket], choices: Sequence[ModelChoice], places: Paths
) -> int:
    awaited = [choice for choice in choices if choice.awaited is not None]
    if not awaited:
        return await made.run(sockets)
    names = ", ".join(choice.awaited.name for choice in awaited if choice.awaited)
    log.warning("the demo model stands in until %s is complete", names)
    waiting = asyncio.create_task(_until_arrived(made, awaited, places))
    try:
        return await made.run(sockets)
    finally:
        waiting.cancel()


async def _until_arrived(made: Service, choices: Sequence[ModelChoice], places: Paths) -> None:
    """End the service in good order when the real model is complete: systemd starts it anew with that."""
    while not any(arrived(choice, places) for choice in choices):
        await asyncio.sleep(_LOOK_S)
    log.info("the model has arrived; starting anew with it")
    made.exit_status = os.EX_TEMPFAIL
    made.server.should_exit = True

"""The main program of a service: reads the configuration, opens the socket, builds the service, runs it."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from hailo_common.complaint import complain
from hailo_common.config.command_line import CommandLine, fail, parse_command_line
from hailo_common.config.common_keys import CommonSettings
from hailo_common.config.paths import Paths
from hailo_common.engine.session import EngineSpec, StartedEngine
from hailo_common.errors import ConfigError
from hailo_common.ipc.walls import undumpable
from hailo_common.models.demos import Demos, find_demos
from hailo_common.models.integrity import FileCheck
from hailo_common.models.selection import Candidate, ServedFolder, choose, choose_folders
from hailo_common.systemd.logging import setup_logging
from hailo_common.systemd.sockets import ListenError, listening_sockets

if TYPE_CHECKING:
    from hailo_common.service import Build, Service

log = logging.getLogger(__name__)


def run_service(
    service: str,
    settings: type[CommonSettings],
    engine: str,
    service_module: str,
    *,
    bundled: Path,
    argv: Sequence[str] | None = None,
) -> int:
    """Run the service; returns its exit status.

    `engine` is the factory of its engine; `service_module` names the module whose `build` makes the service.
    It is imported while the engine loads, because it brings the web framework. The demo models are the
    installed ones, else those in the folder `bundled`.
    """
    undumpable()
    line = parse_command_line(service, settings, argv)
    setup_logging(service, line.settings.log_level)
    paths = Paths()
    demos = find_demos(service, paths, bundled)
    try:
        served = _choose(service, line, paths, demos)
    except ConfigError as error:
        fail(f"{service}-server", error)
    if problem := _hopeless(served, demos, line):
        complain(service, problem)
        return 1
    try:
        sockets = listening_sockets(line.settings.host, line.settings.port)
    except ListenError as error:
        complain(service, error)
        return error.exit_status
    first, started = served[0].choice, None
    # What was written to since it arrived is read first, which takes time: not here.
    if first.ready and not line.settings.served() and not FileCheck().touched(first.folder):
        spec = EngineSpec.of(service, line.settings, factory=engine, model_dir=str(first.folder))
        started = StartedEngine(spec)
    try:
        build: Build = import_module(service_module).build
        named = served if line.settings.served() else ()
        made = build(line.settings, str(first.folder), started=started, served=named)
    except ConfigError as error:
        if started is not None:
            started.kill()
        fail(f"{service}-server", error)
    return asyncio.run(_run(made, sockets, served, paths))


def _choose(
    service: str, line: CommandLine[CommonSettings], paths: Paths, demos: Demos
) -> list[ServedFolder]:
    """Where the models are, or may come to be."""
    if line.demo and not line.settings.model_dir and not line.settings.served():
        place = Candidate(demos.folder(line.demo))
        return [ServedFolder("", choose([place]), places=(place,))]
    return choose_folders(service, line.settings, paths, demos=demos)


def _hopeless(served: Sequence[ServedFolder], demos: Demos, line: CommandLine[CommonSettings]) -> str:
    """Why the service need not be started; empty for models that are there or may come."""
    missing = [each.choice.folder for each in served if not each.choice.ready]
    if demo := next((folder for folder in missing if demos.knows(folder)), None):
        return f"the demo model is not in {demo}; its package is hailo-demo-models"
    if missing and line.settings.model_dir and sys.stderr.isatty():
        return f"there is no model in {missing[0]}; give --model a folder that holds one, or none: --demo"
    return ""


async def _run(
    made: Service, sockets: list[socket.socket], served: Sequence[ServedFolder], paths: Paths
) -> int:
    for each in served:
        if each.choice.awaited and each.choice.ready:
            log.warning("another model stands in until %s is complete", each.choice.awaited.name)
    server_state_of = import_module("hailo_common.web.state").server_state_of
    listing = import_module("hailo_common.models.listing")
    server_state_of(made.app).list_models = lambda: listing.model_rows(paths)
    # It brings the web framework, too, which is here by now.
    module = import_module("hailo_common.arrival")
    arrivals = [module.Arrival(*pair, paths.store()) for pair in zip(made.pool.models, served, strict=True)]
    for arrival in arrivals:
        arrival.hold()
    waiting = [asyncio.create_task(arrival.run()) for arrival in arrivals]
    try:
        return await made.run(sockets)
    finally:
        for task in waiting:
            task.cancel()

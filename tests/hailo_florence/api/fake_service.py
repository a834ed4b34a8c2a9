"""A fake engine behind a real HTTP process: `python -m tests.hailo_florence.api.fake_service`."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import sys
from collections.abc import Sequence
from typing import Any

from hailo_common.systemd.logging import setup_logging
from hailo_common.systemd.sockets import listening_sockets
from hailo_florence import config as florence_config
from hailo_florence import service as florence_service
from hailo_vision import config as vision_config
from hailo_vision import service as vision_service

SERVICES: dict[str, tuple[Any, Any, str]] = {
    "hailo-florence": (florence_config.FlorenceSettings, florence_service.build, "tests.fakes:make_engine"),
    "hailo-vision": (vision_config.VisionSettings, vision_service.build, "tests.fake_chat:make_engine"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """`--options` are the fake engine's; `--settings` are the service's, both as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--options", type=json.loads, default={})
    parser.add_argument("--settings", type=json.loads, default={})
    parser.add_argument("--service", choices=SERVICES, default="hailo-florence")
    args = parser.parse_args(argv)
    make_settings, build, factory = SERVICES[args.service]
    values = {
        name: tuple(value) if isinstance(value, list) else value for name, value in args.settings.items()
    }
    settings = make_settings(port=args.port, **values)
    setup_logging(args.service, settings.log_level)
    service = build(settings, "unused", factory=factory)
    spec = service.engine.spec
    service.engine.spec = dataclasses.replace(spec, options={**spec.options, **args.options})
    return int(asyncio.run(service.run(listening_sockets("127.0.0.1", args.port))))


if __name__ == "__main__":
    sys.exit(main())

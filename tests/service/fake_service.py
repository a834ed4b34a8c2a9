"""hailo-florence with the fake engine behind its real front door: `python -m tests.service.fake_service`."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import sys
from collections.abc import Sequence

from hailo_common.daemon.logs import setup_logging
from hailo_common.daemon.sockets import listening_sockets
from hailo_florence.config import SERVICE, Settings
from hailo_florence.service import build


def main(argv: Sequence[str] | None = None) -> int:
    """`--options` are the fake engine's; `--settings` are the service's, both as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--options", type=json.loads, default={})
    parser.add_argument("--settings", type=json.loads, default={})
    args = parser.parse_args(argv)
    settings = Settings(port=args.port, **args.settings)
    setup_logging(SERVICE, settings.log_level)
    service = build(settings, "unused", factory="tests.fakes:make_engine")
    spec = service.engine.spec
    service.engine.spec = dataclasses.replace(spec, options={**spec.options, **args.options})
    return asyncio.run(service.run(listening_sockets("127.0.0.1", args.port)))


if __name__ == "__main__":
    sys.exit(main())

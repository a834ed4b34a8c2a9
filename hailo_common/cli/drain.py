"""`hailo-ctl drain` and `undrain`: take this node out of service before work on it, and back."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator

from hailo_common.cli.client import Client, NoAnswerError
from hailo_common.cli.framework import CommandError, define, say
from hailo_common.config.common_keys import installed_services, service_settings
from hailo_common.config.load import load
from hailo_common.config.paths import Paths
from hailo_common.host import flag
from hailo_common.npu.device_nodes import sysroot

_POLL_S = 0.5
_DRAIN_HELP = """\
Let load balancers send this node nothing new: /health/ready answers 503 from now on, everything else goes on.
Then wait until no request is running or waiting. Status 75 if some are left after --wait seconds; the node
stays drained. `hailo-ctl undrain` puts it back into service, and so does a reboot.
"""


def define_drain(parser: argparse.ArgumentParser) -> None:
    """`drain` and its options."""
    define(parser, _drain, _DRAIN_HELP)
    parser.add_argument(
        "--wait", type=float, default=300.0, metavar="S", help="maximum time until it is idle"
    )
    parser.add_argument(
        "--notice", type=float, default=6.0, metavar="S", help="time that load balancers need to notice"
    )


def define_undrain(parser: argparse.ArgumentParser) -> None:
    """`undrain`."""
    define(parser, _undrain)


def _drain(args: argparse.Namespace) -> int:
    try:
        flag().parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        flag().touch()
    except OSError as error:
        raise CommandError(f"{flag()}: {error.strerror}; try: sudo hailo-ctl drain", os.EX_NOPERM) from None
    end = time.monotonic() + args.notice + args.wait
    time.sleep(args.notice)
    while waiting := [f"{name}: {count}" for name, count in _busy() if count]:
        if time.monotonic() > end:
            raise CommandError(f"drained, but requests are left: {', '.join(waiting)}", os.EX_TEMPFAIL)
        time.sleep(_POLL_S)
    say("drained: no request is running or waiting")
    return 0


def _undrain(_args: argparse.Namespace) -> int:
    try:
        flag().unlink(missing_ok=True)
    except OSError as error:
        raise CommandError(f"{flag()}: {error.strerror}; try: sudo hailo-ctl undrain", os.EX_NOPERM) from None
    say("in service")
    return 0


def _busy() -> Iterator[tuple[str, int]]:
    """Requests of each service that work or wait; a service that does not answer has none."""
    for service in installed_services():
        settings = load(service_settings(service), service, Paths(root=sysroot()))
        try:
            queue = Client(settings).get("/health").body["queue"]
            yield service, int(queue["running"]) + int(queue["waiting"])
        except (NoAnswerError, KeyError, TypeError, ValueError):
            yield service, 0

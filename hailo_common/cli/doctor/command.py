"""The commands `doctor` and `status`."""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

from hailo_common import __version__
from hailo_common.cli.client import Client, NoAnswerError
from hailo_common.cli.doctor.check import Check, CheckResult, System, run_program
from hailo_common.cli.doctor.chip import check_device, installed_library
from hailo_common.cli.doctor.files import check_configuration, check_models
from hailo_common.cli.doctor.firmware import check_firmware
from hailo_common.cli.doctor.machine import check_machine
from hailo_common.cli.doctor.memory import check_budgets
from hailo_common.cli.doctor.remote_images import check_remote_images
from hailo_common.cli.doctor.services import check_api, check_loaded, check_packages, check_units, unit_state
from hailo_common.cli.framework import add_root, complete_with, define, print_json, say, table
from hailo_common.config.common_keys import installed_services, service_settings
from hailo_common.config.load import load
from hailo_common.config.paths import Paths
from hailo_common.errors import ConfigError
from hailo_common.npu.device_nodes import driver_version

CHECKS: tuple[Check, ...] = (
    check_machine,
    check_budgets,
    check_device,
    check_firmware,
    check_configuration,
    check_models,
    check_units,
    check_remote_images,
    check_api,
)
_OF_PACKAGES = (check_budgets, check_configuration, check_models, check_units)
"""What is looked at where a package of a service is installed."""
_WELL = ("healthy", "degraded")
_MARKS = {"ok": "ok  ", "warn": "WARN", "fail": "FAIL", "unseen": "?   "}

_DOCTOR_HELP = """\
Look at everything a working service needs: memory, temperature, device, versions of driver, library and
firmware, permissions, configuration, models, units, ports; and send each service an image of a red circle,
which its metrics must count. Each problem comes with what to do about it. Nothing is changed. Root is not
needed, but sees more; what could not be seen is marked `?`.

With --root the files of another machine are looked at, such as a card in a reader, and nothing of this one.

Status: 0 when nothing failed (warnings do not count), 1 when something did.
"""


_STATUS_HELP = """\
Show in a few lines what runs here.

Status: 0 when every service answers and is healthy, or degraded (its model is being loaded, or runs on the
CPU instead of the chip); 1 when one does not answer or is unhealthy, or none is installed.
"""


def define_doctor(parser: argparse.ArgumentParser) -> None:
    """`doctor` and its options."""
    define(parser, _doctor, _DOCTOR_HELP)
    _add_services(parser)
    parser.add_argument(
        "--wait", type=float, default=0.0, metavar="S", help="wait up to S seconds for models that load"
    )
    parser.add_argument("--no-api", action="store_true", help="do not ask the services anything")
    parser.add_argument(
        "--live",
        action="store_true",
        help="with --root: ask programs, units and services of the running machine all the same",
    )
    _add_output(parser)


def define_status(parser: argparse.ArgumentParser) -> None:
    """`status` and its options."""
    define(parser, _status, _STATUS_HELP)
    _add_services(parser)
    _add_output(parser)


def _add_services(parser: argparse.ArgumentParser) -> None:
    services = parser.add_argument(
        "services", nargs="*", metavar="SERVICE", help="all that are installed, if none is given"
    )
    complete_with(lambda _prefix, _args: installed_services(), services)


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_root(parser)


def _doctor(args: argparse.Namespace) -> int:
    live = args.live or args.root == Path("/")
    system = _system(args, ask_api=live and not args.no_api, live=live)
    results: list[CheckResult] = []
    if not args.json:
        say(_headline(system))
    waited = check_loaded(system, args.wait) if args.wait and system.ask_api else iter(())
    unpackaged = check_packages(system) if not args.services else ()
    checks = [each for each in CHECKS if not (unpackaged and each in _OF_PACKAGES)]
    for result in chain(unpackaged, waited, examine(system, checks)):
        results.append(result)
        if not args.json:
            _print(result)
    failed = sum(result.state == "fail" for result in results)
    if args.json:
        print_json({**_versions(system), "failed": failed, "findings": [asdict(each) for each in results]})
    else:
        warned = sum(result.state == "warn" for result in results)
        say(f"\n{failed} failed, {warned} warnings" if failed or warned else "\nall is well")
    return 1 if failed else 0


def examine(system: System, checks: Sequence[Check] = CHECKS) -> Iterator[CheckResult]:
    """Run the checks; one that breaks is itself a result and stops no other."""
    for check in checks:
        try:
            yield from check(system)
        except (OSError, ValueError) as error:
            yield CheckResult(
                check.__name__.removeprefix("check_"), "unseen", f"could not be checked: {error}"
            )


def _system(args: argparse.Namespace, *, ask_api: bool, live: bool = True) -> System:
    services = tuple(getattr(args, "services", ()) or installed_services())
    for name in services:
        service_settings(name)
    return System(Paths(root=args.root), services, ask_api, run_program if live else _no_program, live)


def _no_program(*_command: str) -> None:
    """Programs of the running machine tell nothing of another one."""


def _print(result: CheckResult) -> None:
    say(f"{_MARKS[result.state]}  {result.area}: {result.text}")
    if result.remedy and result.state in ("warn", "fail"):
        say(f"      -> {result.remedy}")


def _versions(system: System) -> dict[str, Any]:
    return {
        "version": __version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "hailo_driver": driver_version(system.paths.root) or None,
        "hailort": installed_library(system) or None,
        "root": os.geteuid() == 0,
    }


def _headline(system: System) -> str:
    versions = _versions(system)
    hailo = f", HailoRT {versions['hailort']}" if versions["hailort"] else ""
    return f"hailo-appliance {__version__}, Python {versions['python']}, {versions['machine']}{hailo}\n"


def _status(args: argparse.Namespace) -> int:
    system = _system(args, ask_api=False)
    rows = [_status_row(system, name) for name in system.services]
    fetching = (unit_state(system, "hailo-fetch.service") or {}).get("ActiveState") == "activating"
    if args.json:
        print_json({"services": rows, "fetching": fetching})
    else:
        _show_status(rows, fetching=fetching)
    return 0 if rows and all(row["health"] in _WELL for row in rows) else 1


def _show_status(rows: Sequence[Mapping[str, Any]], *, fetching: bool) -> None:
    head = ("SERVICE", "UNIT", "ADDRESS", "HEALTH", "MODEL", "QUEUE")
    lines = [
        tuple(str(row[key]) for key in ("service", "unit", "address", "health", "model", "queue"))
        for row in rows
    ]
    for line in table([head, *lines]):
        say(line)
    for row in rows:
        for model in row.get("models", ()):
            say(f"{row['service']}: {model['name']}: {_state(model)}")
        if row["reason"]:
            say(f"{row['service']}: {row['reason']}")
    if fetching:
        say("models are being fetched: journalctl -fu hailo-fetch")


def _state(model: Mapping[str, Any]) -> str:
    """What one of several models does, as `/health` has it."""
    memory = f", {model['memory_mb']:.0f} MB" if "memory_mb" in model else ""
    return f"{model['state']}{memory}; {model['running']} running, {model['waiting']} waiting"


def _status_row(system: System, name: str) -> dict[str, Any]:
    row: dict[str, Any] = {
        "service": name,
        "unit": "-",
        "address": "-",
        "health": "-",
        "model": "-",
        "queue": "-",
    }
    state = unit_state(system, f"{name}.service")
    row |= {"unit": state.get("ActiveState", "-") if state else "-", "reason": ""}
    try:
        client = Client(load(service_settings(name), name, system.paths))
        row["address"] = client.where
        health = client.get("/health").body
    except (ConfigError, NoAnswerError) as error:
        return row | {"health": "no answer", "reason": str(error)}
    queue = health.get("queue", {})
    if "models" in health:
        row["models"] = health["models"]
    return row | {
        "health": health.get("status", "?"),
        "model": health.get("model") or "-",
        "queue": f"{queue.get('running', '?')} running, {queue.get('waiting', '?')} waiting",
        "reason": health.get("error") or "",
    }

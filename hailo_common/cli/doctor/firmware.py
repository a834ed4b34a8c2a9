"""The chip's firmware, as HailoRT's own program tells it: a connection that reserves nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hailo_common.cli.doctor.check import CheckResult, System
from hailo_common.npu.device_nodes import device_nodes, driver_version
from hailo_common.npu.errors import POWER

# HailoRT would leave its log file in whatever folder this runs.
_IDENTIFY = ("env", "HAILORT_LOGGER_PATH=NONE", "hailortcli", "fw-control", "identify")


def check_firmware(system: System) -> Iterator[CheckResult]:
    """Is it the driver's? Nothing where there is no chip, or `hailortcli` does not answer."""
    if not device_nodes(system.paths.root):
        return
    told = re.search(r"^Firmware Version: (\d+\.\d+\.\d+)", system.run(*_IDENTIFY) or "", re.MULTILINE)
    if told is None:
        return
    driver = ".".join(driver_version(system.paths.root).split(".")[:3])
    if driver in ("", told[1]):
        yield CheckResult("firmware", "ok", told[1])
        return
    text = f"the chip runs {told[1]}, the driver is {driver}"
    yield CheckResult("firmware", "warn", text, f"a driver brings its firmware when the chip starts: {POWER}")

"""Images by address: the hosts that an operator lists, and the unit that fetches from them."""

from __future__ import annotations

from collections.abc import Iterator

from hailo_common.cli.doctor.check import CheckResult, System
from hailo_common.cli.doctor.services import unit_state
from hailo_common.config.common_keys import IMAGES
from hailo_common.config.load import load
from hailo_common.errors import ConfigError
from hailo_common.remote_images.settings import RemoteImageSettings

_SOCKET, _SERVICE = f"{IMAGES}.socket", f"{IMAGES}.service"
_AREA = f"{IMAGES}: unit"


def check_remote_images(system: System) -> Iterator[CheckResult]:
    """Is it on where hosts are listed, and off where none is?"""
    try:
        hosts = load(RemoteImageSettings, IMAGES, system.paths).hosts
    except ConfigError as error:
        remedy = f"correct the file, then: hailo-ctl config check {IMAGES}"
        for problem in str(error).splitlines():
            yield CheckResult(f"{IMAGES}: configuration", "fail", problem, remedy)
        return
    state = unit_state(system, _SOCKET)
    if state is None:
        return
    active = state.get("ActiveState") == "active"
    if hosts and not active:
        yield _off(len(hosts), state.get("LoadState", ""), state.get("ActiveState", ""))
    elif active and not hosts:
        text = "images by address are on, but no host is listed: every address is refused"
        remedy = f"hailo-ctl config set {IMAGES} hosts=NAME; or: systemctl disable --now {_SOCKET}"
        yield CheckResult(_AREA, "warn", text, remedy)
    elif hosts:
        yield _on(system, len(hosts))


def _off(count: int, load_state: str, active_state: str) -> CheckResult:
    if load_state != "loaded":
        remedy = "apt install --reinstall hailo-common"
        return CheckResult(_AREA, "fail", f"{_SOCKET} is not installed, but hosts are listed", remedy)
    text = f"{_hosts(count)} listed, but {_SOCKET} is {active_state}: images by address are refused"
    remedy = f"systemctl enable --now {_SOCKET}; if it fails: journalctl -u {_SOCKET}"
    return CheckResult(_AREA, "warn", text, remedy)


def _on(system: System, count: int) -> CheckResult:
    """The socket is there; the service starts with the first address and may end when nobody comes."""
    state = unit_state(system, _SERVICE) or {}
    if state.get("ActiveState") == "failed":
        text = f"failed: {state.get('Result', '')}, status {state.get('ExecMainStatus', '')}"
        remedy = f"journalctl -u {IMAGES} -n 20; then: systemctl restart {_SOCKET}"
        return CheckResult(_AREA, "fail", text, remedy)
    return CheckResult(_AREA, "ok", f"images by address are fetched: {_hosts(count)} listed")


def _hosts(count: int) -> str:
    return "1 host is" if count == 1 else f"{count} hosts are"

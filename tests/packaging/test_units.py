"""The units as debian/rules makes them: what they may do, measured where systemd is installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

DEBIAN = Path(__file__).parents[2] / "debian"
SERVICES = ("hailo-vision", "hailo-florence")


@pytest.fixture(scope="module")
def units(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of all units under their installed names."""
    tree = tmp_path_factory.mktemp("tree")
    shutil.copytree(DEBIAN, tree / "debian")
    made = [f"debian/{service}.{kind}" for service in SERVICES for kind in ("service", "socket")]
    command = ["make", "--silent", "--file=debian/rules", "--always-make", *made]
    subprocess.run(command, cwd=tree, check=True, capture_output=True, timeout=60)
    folder = tree / "units"
    folder.mkdir()
    for path in [tree / name for name in made] + list((tree / "debian").glob("hailo-common.hailo-*")):
        shutil.copy(path, folder / path.name.removeprefix("hailo-common."))
    return folder


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
@pytest.mark.parametrize(
    ("unit", "most"),
    [
        ("hailo-vision", 6),
        ("hailo-florence", 6),
        ("hailo-fetch", 15),
        ("hailo-images", 15),
        ("hailo-listen@", 50),
    ],
)
def test_exposure(units: Path, unit: str, most: int) -> None:
    """`most` in tenths of systemd's scale."""
    command = ["systemd-analyze", "security", "--no-pager", "--offline=true", f"--threshold={most}"]
    done = subprocess.run(
        [*command, units / f"{unit}.service"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("service", SERVICES)
def test_nothing_is_left_to_fill_in(units: Path, service: str) -> None:
    for kind in ("service", "socket"):
        text = (units / f"{service}.{kind}").read_text(encoding="utf-8")
        assert service in text
        assert "@SERVICE@" not in text
        assert not any(f"@{name}@" in text for name in ("PORT", "MODEL", "MODULE", "MEMORY", "TASKS"))


@pytest.mark.parametrize("service", SERVICES)
def test_what_must_not_get_lost(units: Path, service: str) -> None:
    text = (units / f"{service}.service").read_text(encoding="utf-8")
    lines = text.splitlines()
    for line in (
        "Type=notify",
        "PrivateNetwork=yes",
        "WatchdogSec=30",
        "Restart=on-failure",
        "RestartPreventExitStatus=78",
        "StartLimitIntervalSec=0",
        "LogRateLimitIntervalSec=30",
        "LogRateLimitBurst=600",
        "TimeoutStopSec=50",
        "DeviceAllow=char-hailo1x rw",
        f"Requires={service}.socket",
        f"User={service}",
    ):
        assert line in lines
    assert "ExecStartPre" not in text
    assert f"Wants=hailo-listen@{service}.service" in lines
    for word in ("HAILO_PRINT_TO_SYSLOG=1", "XDG_CONFIG_HOME=/etc/xdg", "XDG_DATA_HOME=/var/lib"):
        assert word in text


@pytest.mark.parametrize("service", SERVICES)
def test_no_socket_leads_out(units: Path, service: str) -> None:
    """Netlink is for libusb, which HailoRT links from 5.3 on; the unit's network has nobody in it."""
    lines = (units / f"{service}.service").read_text(encoding="utf-8").splitlines()
    assert "RestrictAddressFamilies=AF_UNIX AF_NETLINK" in lines
    assert {"PrivateNetwork=yes", "IPAddressDeny=any"} <= set(lines)


@pytest.mark.parametrize("service", SERVICES)
def test_the_page_sends_people_to_where_hailorts_reasons_are(units: Path, service: str) -> None:
    text = (units / f"{service}.service").read_text(encoding="utf-8")
    page = (DEBIAN.parent / "docs/npu.md").read_text(encoding="utf-8")
    assert "HAILORT_LOGGER_PATH=NONE" in text
    assert "LogsDirectory=" not in text
    assert "HAILO_PRINT_TO_SYSLOG=1" in text
    assert "journalctl -t HailoRT" in page
    assert "/var/log/hailo" not in page

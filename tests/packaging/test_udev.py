"""Whom the rules of udev give the chip's node to, beside the rules of its vendors.

udev reads the files of all folders by name, assignments in a later one win, and after `:=` none does. What is
evaluated here is that much of it, over our file and the vendors' own lines.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

DEBIAN = Path(__file__).parents[2] / "debian"
VENDORS = {
    "51-hailo-udev.rules": 'SUBSYSTEM=="hailo_chardev", MODE="0666"\n',
    "51-hailo-pcie-udev.rules": 'SUBSYSTEM=="hailo1x", MODE="0666"\n',
    "60-hailofw.rules": 'SUBSYSTEM=="hailo_chardev", MODE="0666"\n',
}
"""Of the driver up to 5.2, of Hailo's package of 5.4, and of Raspberry Pi's packages."""
_TOKEN = re.compile(r'([A-Z]+(?:\{\w+\})?)(==|!=|:=|\+=|=)"([^"]*)"')


def installed() -> tuple[str, str]:
    """Name and text of our rules as debhelper installs them."""
    rules = (DEBIAN / "rules").read_text(encoding="utf-8")
    (priority,) = re.findall(r"dh_installudev --priority=(\d+)", rules)
    return f"{priority}-hailo-common.rules", (DEBIAN / "hailo-common.udev").read_text(encoding="utf-8")


def node(subsystem: str, files: dict[str, str]) -> dict[str, str]:
    """Group and mode of a node that appears, root's alone by itself."""
    made, final = {"GROUP": "root", "MODE": "0600"}, set()
    for _, text in sorted(files.items()):
        for line in text.splitlines():
            tokens = _TOKEN.findall(line.partition("#")[0])
            wanted = [value.split("|") for key, how, value in tokens if (key, how) == ("SUBSYSTEM", "==")]
            if not wanted or subsystem not in wanted[0]:
                continue
            for key, how, value in tokens:
                if key in made and key not in final and how in ("=", ":="):
                    made[key] = value
                    final |= {key} if how == ":=" else set()
    return made


@pytest.mark.parametrize(
    ("vendor", "subsystem"),
    [
        ("51-hailo-udev.rules", "hailo_chardev"),
        ("51-hailo-pcie-udev.rules", "hailo1x"),
        ("60-hailofw.rules", "hailo_chardev"),
    ],
)
def test_whom_the_vendor_lets_in_stays_in(vendor: str, subsystem: str) -> None:
    """rpicam-apps, hailo-apps and hailo-ollama run as ordinary users, in no group of ours."""
    name, text = installed()
    made = node(subsystem, {name: text, vendor: VENDORS[vendor]})
    assert made == {"GROUP": "hailo-devices", "MODE": "0666"}


@pytest.mark.parametrize("subsystem", ["hailo_chardev", "hailo1x"])
def test_without_a_vendors_rule_the_group_may_use_it(subsystem: str) -> None:
    name, text = installed()
    assert node(subsystem, {name: text}) == {"GROUP": "hailo-devices", "MODE": "0660"}


def test_an_administrator_can_close_it_as_the_page_says() -> None:
    page = (DEBIAN.parent / "docs/npu.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^ +(SUBSYSTEM==.*)$", page, re.MULTILINE)
    name, text = installed()
    made = node("hailo1x", {name: text, **VENDORS, "99-hailo-closed.rules": line})
    assert made == {"GROUP": "hailo-devices", "MODE": "0660"}


@pytest.mark.skipif(not shutil.which("udevadm"), reason="udev is not installed")
def test_udev_reads_our_rules(tmp_path: Path) -> None:
    name, text = installed()
    (tmp_path / name).write_text(text, encoding="utf-8")
    done = subprocess.run(
        ["udevadm", "verify", tmp_path / name], capture_output=True, text=True, timeout=60, check=False
    )
    if "Unknown command verb" in done.stderr:
        pytest.skip("this udevadm cannot verify rules")
    assert done.returncode == 0, done.stderr

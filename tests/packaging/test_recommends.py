"""What an installation brings along and what it leaves alone, as apt's default solver decides it.

The packages of others are stand-ins that are never fetched: only what their entries say of each other counts.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.packaging.apt import Apt
from tests.packaging.vendors import RASPBERRY, VENDOR, entry, named

TREE = Path(__file__).parents[2]
OURS = ("hailo-vision", "hailo-florence")
H10 = ("hailo-h10-all", "h10-hailort", "h10-hailort-pcie-driver", "python3-h10-hailort")
HAILO8 = ("hailo-all", "hailort", "hailort-pcie-driver", "python3-hailort", "rpicam-apps-hailo-postprocess")

pytestmark = pytest.mark.skipif(shutil.which("apt-get") is None, reason="apt decides")


def ours() -> list[str]:
    """Entries of this project's packages, with what debian/control says of Hailo's and of each other."""
    paragraphs = (TREE / "debian/control").read_text(encoding="utf-8").split("\n\n")[1:]
    made = []
    for paragraph in paragraphs:
        fields = dict(re.findall(r"^([A-Z][A-Za-z-]*):((?:.*\n?)(?: .*\n?)*)", paragraph, re.MULTILINE))
        name = fields["Package"].strip()
        relations = {
            key.lower(): ", ".join(_relations(fields[key]))
            for key in ("Depends", "Recommends")
            if key in fields
        }
        made.append(entry(name, **{key: value for key, value in relations.items() if value}))
    return made


def _relations(text: str) -> list[str]:
    """Those that name packages of which the test knows; Debian's own are another matter."""
    found = [each.strip() for each in text.replace("(= ${source:Version})", "").split(",")]
    return [each for each in found if each and "$" not in each and re.search("hailo|h10|dkms", each)]


@pytest.fixture
def apt(tmp_path: Path) -> Apt:
    """A machine with nothing on it, and Raspberry Pi's archive."""
    return Apt(tmp_path, archive=[*ours(), *RASPBERRY])


@pytest.mark.parametrize("name", OURS)
def test_a_fresh_pi_gets_library_driver_and_what_builds_it(apt: Apt, name: str) -> None:
    """The driver's package falls back to a build that the next kernel does not have, without dkms."""
    installed, removed = apt.install(name)
    assert {name, "hailo-common", "dkms", *H10} <= installed
    assert removed == set()


@pytest.mark.parametrize("name", OURS)
def test_a_hailo_8_keeps_its_stack(apt: Apt, name: str) -> None:
    apt.installed = named(RASPBERRY, *HAILO8, "hailo-tappas-core", "build-essential")
    installed, removed = apt.install(name)
    assert removed == set()
    assert name in installed
    assert installed.isdisjoint({*H10, "dkms"})


@pytest.mark.parametrize("version", VENDOR)
@pytest.mark.parametrize("name", OURS)
def test_the_vendors_own_packages_stay(apt: Apt, name: str, version: str) -> None:
    """The library of 5.1.1 over a driver of 5.2 would be status 76."""
    apt.installed = [*VENDOR[version], *named(RASPBERRY, "build-essential")]
    installed, removed = apt.install(name)
    assert removed == set()
    assert name in installed
    assert installed.isdisjoint(H10)


@pytest.mark.parametrize("parts", [H10, ("h10-hailort", "python3-h10-hailort")], ids=["whole", "no driver"])
def test_raspberry_pis_stack_is_completed(apt: Apt, parts: tuple[str, ...]) -> None:
    apt.installed = named(
        RASPBERRY, *parts, "hailo-tappas-core", "rpicam-apps-hailo-postprocess", "build-essential"
    )
    installed, removed = apt.install("hailo-vision")
    assert removed == set()
    assert "dkms" in installed
    assert set(H10) - set(parts) <= installed


@pytest.mark.parametrize("name", OURS)
def test_a_machine_without_hailos_packages_gets_none_of_their_needs(apt: Apt, name: str) -> None:
    """Plain Debian: a compiler would be of no use to anybody there."""
    apt.archive = [*ours(), *named(RASPBERRY, "dkms", "build-essential")]
    installed, removed = apt.install(name)
    assert {name, "hailo-common"} <= installed
    assert installed.isdisjoint({"dkms", "build-essential"})
    assert removed == set()


def test_who_changes_over_to_a_hailo_8_can(apt: Apt) -> None:
    """`apt install hailo-all` takes the other stack away and leaves the services."""
    apt.install("hailo-vision")
    mine = [
        each
        for each in ours()
        if re.match("Package: (hailo-vision|hailo-common|hailo-appliance-npu)\n", each)
    ]
    apt.installed = [*mine, *RASPBERRY[: RASPBERRY.index(named(RASPBERRY, "hailort")[0])]]
    installed, removed = apt.install("hailo-all")
    assert {"hailo-all", "hailort"} <= installed
    assert removed.isdisjoint({"hailo-vision", "hailo-common"})

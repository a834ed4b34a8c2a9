"""What the packages of Raspberry Pi and of Hailo say of each other: the control files of stand-ins for them.

Source of the relations: Raspberry Pi's archive for trixie as of 22 September 2026 (both metapackages, their
conflicts, a driver that depends on `build-essential` and not on `dkms`), and Hailo's own packages, whose
library is called `hailort`.
"""

from __future__ import annotations


def entry(name: str, version: str = "1.0", **fields: str) -> str:
    """A package's entry; `conflicts="x"` is the field Conflicts."""
    more = "".join(f"{key.replace('_', '-').title()}: {value}\n" for key, value in fields.items())
    return (
        f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: x <x@example.org>\n{more}"
        "Description: a stand-in\n"
    )


RASPBERRY = [
    entry("dkms", "3.0"),
    entry("build-essential", "12"),
    entry("rpicam-apps-hailo-postprocess", "1.10.0"),
    entry("hailo-tappas-core", "5.1.0"),
    entry("h10-hailort", "5.1.1", conflicts="hailort"),
    entry("h10-hailort-pcie-driver", "5.1.1", depends="build-essential", conflicts="hailort-pcie-driver"),
    entry("python3-h10-hailort", "5.1.1-1", depends="h10-hailort", conflicts="python3-hailort"),
    entry(
        "hailo-h10-all",
        "5.1.1",
        depends="h10-hailort (>= 5.1.1), hailo-tappas-core (>= 5.1.0), h10-hailort-pcie-driver (>= 5.1.1),"
        " rpicam-apps-hailo-postprocess (>= 1.10.0), python3-h10-hailort (>= 4.23.0)",
        conflicts="hailo-all, hailo-meta",
        replaces="hailo-all",
    ),
    entry("hailort", "4.23.0", conflicts="h10-hailort"),
    entry("hailort-pcie-driver", "4.23.0", depends="build-essential", conflicts="h10-hailort-pcie-driver"),
    entry("python3-hailort", "4.23.0-1", depends="hailort", conflicts="python3-h10-hailort"),
    entry(
        "hailo-all",
        "5.1.1",
        depends="hailort (>= 4.23.0), hailo-tappas-core (>= 5.1.0), hailort-pcie-driver (>= 4.23.0),"
        " rpicam-apps-hailo-postprocess (>= 1.10.0), python3-hailort (>= 4.23.0)",
        conflicts="hailo-h10-all, hailo-meta",
        replaces="hailo-h10-all",
    ),
]
VENDOR = {
    version: [
        entry("hailort", version, conflicts="h10-hailort"),
        entry("h10-hailort-pcie-driver", version, depends="build-essential", conflicts="hailort-pcie-driver"),
    ]
    for version in ("5.2.0", "5.4.0")
}


def named(entries: list[str], *names: str) -> list[str]:
    """The entries of these packages, the first of each name."""
    return [next(each for each in entries if each.startswith(f"Package: {name}\n")) for name in names]

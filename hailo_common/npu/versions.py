"""What differs between the versions of HailoRT and of its driver: the one table to add a new version to.

A version that has no row is taken for the newest one before it: names, status numbers and meanings of what
`hailo_common.npu.types` lists have stayed the same. docs/npu.md has the table for people.

Sources: hailo-ai/hailort v5.1.1 and v5.2.0; of 5.3.0 `vlm.cpp` and `pyproject.toml`, of 5.4.0 `pyhailort.py`
and `pyproject.toml`; `driver_os_specific.cpp` of a later 5.x; hailo-ai/hailort-drivers v5.1.1 to v5.3.0.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DriverNames:
    """What one generation of the kernel driver calls its devices: class in sysfs, pattern of the node.

    `address` is the attribute with a device's address on the bus, `kind` the one that tells chips with a
    system of their own from others; "" where there is none, and then all of them are.
    """

    device_class: str
    node: str
    address: str
    kind: str


@dataclass(frozen=True)
class HailoRtVersion:
    """A release of the library that the services were built for and are tested with."""

    name: str
    max_frames: int
    """Images that one call of `VLM.generate` takes."""
    place_taken: frozenset[int]
    """Statuses of a load while another program has the chip's one place for a language model."""
    driver: DriverNames
    ollama_shares: bool = False
    """hailo-ollama of this release takes a group from its environment (`HAILO_OLLAMA_VDEVICE_GROUP_ID`)."""
    python: tuple[int, int] | None = None
    """The newest Python (major, minor) that the release's wheel is for; None where it does not say."""


_CHARDEV = DriverNames("hailo_chardev", "hailo[0-9]*", "board_location", "accelerator_type")
_HAILO1X = DriverNames("hailo1x", "h1x-[0-9]*", "device_id", "")
DRIVERS = (_CHARDEV, _HAILO1X)
"""The first up to driver 5.2 and of a Hailo-8, the second from 5.3, whose only attribute is `device_id`."""

_ENDLESS = 2**31
# The server hangs up on a second model: any failure of the session, and no word.
_DROPPED = frozenset({62, 63, 77, 89})
_INVALID_OPERATION = frozenset({6})

VERSIONS = (
    # No guard at all: the second model corrupts the first, so nothing tells that the place is taken.
    HailoRtVersion("5.1.1", max_frames=5, place_taken=_DROPPED, driver=_CHARDEV),
    HailoRtVersion("5.2.0", max_frames=_ENDLESS, place_taken=_DROPPED, driver=_CHARDEV),
    # The place is asked for before anything is sent, and the server's own status comes back.
    HailoRtVersion(
        "5.3.0", max_frames=_ENDLESS, place_taken=_INVALID_OPERATION, driver=_HAILO1X, ollama_shares=True
    ),
    HailoRtVersion(
        "5.4.0",
        max_frames=_ENDLESS,
        place_taken=_INVALID_OPERATION,
        driver=_HAILO1X,
        ollama_shares=True,
        python=(3, 13),
    ),
)
"""By age, the oldest first."""

DRIVER_MODULES = ("hailo1x_pci", "hailo_pci")
"""The kernel's modules; the second drives the Hailo-8."""

PCI_VENDOR = "0x1e60"
PCI_HAILO8 = frozenset({"0x2864"})
PCI_HAILO10H = frozenset({"0x45c4", "0x43a2", "0x26a2"})
"""PCI ids of the chips that each module takes. Source: the aliases of `hailo_pci` and `hailo1x_pci`."""


def version_key(version: str) -> tuple[int, ...]:
    """What versions are compared by: the numbers of the first three parts."""
    return tuple(int(part) for part in version.split(".")[:3] if part.isdigit())


def hailort_version(version: str) -> HailoRtVersion:
    """The row for a library that calls itself `version`; the oldest one for what is older or no version."""
    known = [row for row in VERSIONS if version_key(row.name) <= version_key(version)]
    return known[-1] if known else VERSIONS[0]

"""What differs between the versions of HailoRT and of its driver: the one table to add a new version to.

A version that has no row is taken for the newest one before it: names, status numbers and meanings of what
`hailo_common.npu.types` lists have stayed the same.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class HailoRtVersion:
    """A release of the library that the services were built for and are tested with."""

    name: str
    max_frames: int
    """Images that one call of `VLM.generate` takes."""


@dataclass(frozen=True)
class DriverNames:
    """What one generation of the kernel driver calls its devices: class in sysfs, pattern of the node."""

    device_class: str
    node: str


VERSIONS = (
    HailoRtVersion("5.1.1", max_frames=5),
    HailoRtVersion("5.2.0", max_frames=2**31),
)
"""By age, the oldest first."""

DRIVERS = (
    DriverNames("hailo_chardev", "hailo[0-9]*"),
    DriverNames("hailo1x", "h1x-[0-9]*"),
)
"""The first up to driver 5.2, the second from 5.3. Source: hailo-ai/hailort-drivers (`linux/pcie/src`)."""

DRIVER_MODULES = ("hailo1x_pci", "hailo_pci")
"""The kernel's modules; the second drives the Hailo-8."""


def version_key(version: str) -> tuple[int, ...]:
    """What versions are compared by: the numbers of the first three parts."""
    return tuple(int(part) for part in version.split(".")[:3] if part.isdigit())


def hailort_version(version: str) -> HailoRtVersion:
    """The row for a library that calls itself `version`; the oldest one for what is older or no version."""
    known = [row for row in VERSIONS if version_key(row.name) <= version_key(version)]
    return known[-1] if known else VERSIONS[0]

"""The Hailo device: driver, node, rights, library, and whether their versions fit. Opens nothing."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata

from hailo_common.cli.doctor.finding import CheckResult, System
from hailo_common.npu import device_nodes as nodes

_PACKAGES = (
    "h10-hailort",
    "h10-hailort-pcie-driver",
    "python3-h10-hailort",
    "hailort",
    "hailort-pcie-driver",
)
_PCI_VENDOR = "0x1e60"
_GROUP = "hailo-devices"


def check_device(patient: System) -> Iterator[CheckResult]:
    """Is there a Hailo-10H, and could a service use it?"""
    root = patient.places.root
    found, chips = nodes.device_nodes(root), nodes.sysfs_devices(root)
    driver, library = nodes.driver_version(root), library_version()
    if not found and not chips:
        yield from _absent(patient, driver)
        return
    names = ", ".join(f"/{node.relative_to(root)}" for node in found) or "no node in /dev"
    if not found:
        remedy = (
            "udev made no node: udevadm trigger --subsystem-match=hailo_chardev --subsystem-match=hailo1x"
        )
        yield CheckResult("device", "fail", f"the driver has {len(chips)} chip, but there is {names}", remedy)
    elif chips and not any(chip.supported for chip in chips):
        text = f"{names} is a Hailo-8, which HailoRT 5 does not drive"
        yield CheckResult(
            "device", "fail", text, "the services use the CPU; for the NPU they need a Hailo-10H (AI HAT+ 2)"
        )
    else:
        yield CheckResult("device", "ok", names)
    yield from _versions(patient, driver, library)
    yield from _rights(patient)


def _absent(patient: System, driver: str) -> Iterator[CheckResult]:
    on_bus = [
        path.parent.name
        for path in patient.glob("/sys/bus/pci/devices/*/vendor")
        if path.read_text().strip() == _PCI_VENDOR
    ]
    if on_bus and not driver:
        remedy = "install the driver and restart: apt install h10-hailort-pcie-driver; reboot"
        yield CheckResult(
            "device",
            "fail",
            f"a Hailo chip is on the PCIe bus ({on_bus[0]}), but no driver is loaded",
            remedy,
        )
    elif driver:
        remedy = "look at: dmesg | grep -i hailo; check that the HAT sits firmly and its cable is in; reboot"
        yield CheckResult("device", "fail", f"driver {driver} is loaded, but it has no device", remedy)
    else:
        yield CheckResult("device", "ok", "no Hailo device here; the services use the CPU")


def library_version() -> str:
    """The version of HailoRT's Python library, empty if it is not installed."""
    try:
        return metadata.version("hailort")
    except metadata.PackageNotFoundError:
        return ""


def _versions(patient: System, driver: str, library: str) -> Iterator[CheckResult]:
    if not library:
        yield CheckResult(
            "hailort", "fail", "its Python library is not installed", "apt install python3-h10-hailort"
        )
        return
    versions = {"driver": driver, "Python library": library, **_packages(patient)}
    known = {name: ".".join(version.split(".")[:3]) for name, version in versions.items() if version}
    text = ", ".join(f"{name} {version}" for name, version in known.items())
    if len(set(known.values())) > 1:
        remedy = (
            "all must be of one version: apt install --only-upgrade h10-hailort python3-h10-hailort; reboot"
        )
        yield CheckResult("hailort", "fail", f"versions differ: {text}", remedy)
    else:
        yield CheckResult("hailort", "ok", text)


def _packages(patient: System) -> dict[str, str]:
    told = patient.run(
        "dpkg-query", "--show", "--showformat=${db:Status-Abbrev}${Package} ${Version}\n", *_PACKAGES
    )
    found = {}
    for line in (told or "").splitlines():
        if line.startswith("ii "):
            name, _, version = line[3:].strip().partition(" ")
            found[name] = version.partition("-")[0].rpartition(":")[2]
    return found


def _rights(patient: System) -> Iterator[CheckResult]:
    root = patient.places.root
    for node in nodes.device_nodes(root):
        status = node.stat()
        name = f"/{node.relative_to(root)}"
        if status.st_mode & 0o006:
            remedy = "the vendor's rule gives it to everybody; ours comes with hailo-common: udevadm trigger"
            yield CheckResult("permissions", "warn", f"{name} is open to every user of this machine", remedy)
        elif status.st_mode & 0o060 != 0o060:
            remedy = f"group {_GROUP} needs it: apt install --reinstall hailo-common; udevadm trigger"
            yield CheckResult("permissions", "fail", f"{name} is closed to its group", remedy)
        else:
            yield CheckResult("permissions", "ok", f"{name} is for its owner and its group")
    for holder in nodes.holders(nodes.device_nodes(root)):
        yield CheckResult("device", "ok", f"in use by {holder}")

"""The machine (memory, temperature, power, disk, clock) and its Hailo device, which is not opened."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import metadata

from hailo_common.cli.doctor.check import CheckResult, System
from hailo_common.files import size_text
from hailo_common.models.store import Store
from hailo_common.npu import device_nodes as nodes
from hailo_common.npu.versions import DRIVERS

_HOT_C, _THROTTLED_C = 70.0, 80.0
_LITTLE_BYTES = 1_000_000_000
_LEAST_FREE = 300_000_000
# Bits of `vcgencmd get_throttled`: what is the case now.
_POWER, _CAPPED, _THROTTLED = 0x1, 0x2, 0x4
_PACKAGES = (
    "h10-hailort",
    "h10-hailort-pcie-driver",
    "python3-h10-hailort",
    "hailort",
    "hailort-pcie-driver",
)
_PCI_VENDOR = "0x1e60"
_GROUP = "hailo-devices"


def check_machine(system: System) -> Iterator[CheckResult]:
    """Memory, temperature, power supply, disk, clock."""
    yield from _memory(system)
    yield from _temperature(system)
    yield from _power(system)
    yield _disk(system)
    yield from _clock(system)


def _memory(system: System) -> Iterator[CheckResult]:
    lines = dict(re.findall(r"(\w+):\s+(\d+) kB", system.read("/proc/meminfo")))
    if "MemAvailable" not in lines:
        yield CheckResult("memory", "unseen", "/proc/meminfo cannot be read")
        return
    available, total = (int(lines[name]) * 1024 for name in ("MemAvailable", "MemTotal"))
    text = f"{size_text(available)} of {size_text(total)} available"
    if available < _LITTLE_BYTES:
        remedy = "stop other programs, or choose a smaller model: hailo-ctl models list"
        yield CheckResult("memory", "warn", text, remedy)
    else:
        yield CheckResult("memory", "ok", text)


def _temperature(system: System) -> Iterator[CheckResult]:
    readings = [
        system.read(f"/{path.relative_to(system.paths.root)}")
        for path in system.glob("/sys/class/thermal/thermal_zone*/temp")
    ]
    degrees = [int(text) / 1000 for text in readings if text.lstrip("-").isdigit()]
    if not degrees:
        yield CheckResult("temperature", "unseen", "this machine has no thermal sensor")
        return
    hottest = max(degrees)
    remedy = "cool it: the case's fan, the HAT's cooler, air around both" if hottest >= _HOT_C else ""
    state = "fail" if hottest >= _THROTTLED_C else "warn" if remedy else "ok"
    slow = ", at which the processor is throttled" if state == "fail" else ""
    yield CheckResult("temperature", state, f"{hottest:.0f} degrees Celsius{slow}", remedy)  # type: ignore[arg-type]


def _power(system: System) -> Iterator[CheckResult]:
    output = system.run("vcgencmd", "get_throttled")
    match = re.search(r"throttled=0x([0-9a-fA-F]+)", output or "")
    if not match:
        return
    now = int(match[1], 16)
    if now & _POWER:
        yield CheckResult(
            "power",
            "fail",
            "the supply voltage is too low now",
            "use the 27 W supply for a Pi 5 with a HAT",
        )
    elif now & (_CAPPED | _THROTTLED):
        yield CheckResult(
            "power", "warn", "the processor is throttled now", "cool the machine and check its supply"
        )
    else:
        yield CheckResult("power", "ok", "voltage and frequency are normal")


def _disk(system: System) -> CheckResult:
    store = Store(system.paths.store())
    free = store.free_bytes()
    text = f"{size_text(free)} free for models in {store.root}"
    if free < _LEAST_FREE:
        return CheckResult(
            "disk",
            "fail",
            text,
            "make room: apt clean, journalctl --vacuum-size=100M, hailo-ctl models remove",
        )
    return CheckResult("disk", "ok", text)


def _clock(system: System) -> Iterator[CheckResult]:
    output = system.run("timedatectl", "show", "--property=NTPSynchronized", "--value")
    if output is not None and output.strip() == "no":
        remedy = "certificates look invalid with a wrong clock: timedatectl set-ntp true"
        yield CheckResult("clock", "warn", "not synchronised", remedy)


def check_device(system: System) -> Iterator[CheckResult]:
    """Is there a Hailo-10H, and could a service use it?"""
    root = system.paths.root
    found, devices = nodes.device_nodes(root), nodes.sysfs_devices(root)
    driver = nodes.driver_version(root)
    if not found and not devices:
        yield from _no_device(system, driver)
        return
    names = ", ".join(f"/{node.relative_to(root)}" for node in found)
    if not found:
        text = f"the driver reports {len(devices)} device, but there is no node in /dev"
        classes = " ".join(f"--subsystem-match={each.device_class}" for each in DRIVERS)
        remedy = f"udevadm trigger {classes}"
        yield CheckResult("device", "fail", text, f"udev created no node: {remedy}")
    elif devices and not any(device.supported for device in devices):
        text = f"{names} is a Hailo-8, which HailoRT 5 does not drive"
        remedy = "the services use the CPU; for the NPU they need a Hailo-10H (AI HAT+ 2)"
        yield CheckResult("device", "fail", text, remedy)
    else:
        yield CheckResult("device", "ok", names)
    yield from _device_versions(system, driver, library_version())
    yield from _device_rights(system)


def _no_device(system: System, driver: str) -> Iterator[CheckResult]:
    on_bus = [
        path.parent.name
        for path in system.glob("/sys/bus/pci/devices/*/vendor")
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
        remedy = "look at: dmesg | grep -i hailo; check that the HAT and its cable are seated firmly; reboot"
        yield CheckResult("device", "fail", f"driver {driver} is loaded, but it has no device", remedy)
    else:
        yield CheckResult("device", "ok", "no Hailo device here; the services use the CPU")


def library_version() -> str:
    """The version of HailoRT's Python library, empty if it is not installed."""
    try:
        return metadata.version("hailort")
    except metadata.PackageNotFoundError:
        return ""


def _device_versions(system: System, driver: str, library: str) -> Iterator[CheckResult]:
    if not library:
        yield CheckResult(
            "hailort", "fail", "its Python library is not installed", "apt install python3-h10-hailort"
        )
        return
    versions = {"driver": driver, "Python library": library, **_packages(system)}
    known = {name: ".".join(version.split(".")[:3]) for name, version in versions.items() if version}
    text = ", ".join(f"{name} {version}" for name, version in known.items())
    if len(set(known.values())) > 1:
        remedy = (
            "all must be of one version: apt install --only-upgrade h10-hailort python3-h10-hailort; reboot"
        )
        yield CheckResult("hailort", "fail", f"versions differ: {text}", remedy)
    else:
        yield CheckResult("hailort", "ok", text)


def _packages(system: System) -> dict[str, str]:
    output = system.run(
        "dpkg-query", "--show", "--showformat=${db:Status-Abbrev}${Package} ${Version}\n", *_PACKAGES
    )
    found = {}
    for line in (output or "").splitlines():
        if line.startswith("ii "):
            name, _, version = line[3:].strip().partition(" ")
            found[name] = version.partition("-")[0].rpartition(":")[2]
    return found


def _device_rights(system: System) -> Iterator[CheckResult]:
    root = system.paths.root
    for node in nodes.device_nodes(root):
        status = node.stat()
        name = f"/{node.relative_to(root)}"
        if status.st_mode & 0o006 == 0o006:
            text = f"{name} is open to every user of this machine, by the vendor's udev rule"
            yield CheckResult("permissions", "ok", text)
        elif status.st_mode & 0o060 != 0o060:
            remedy = f"group {_GROUP} needs it: apt install --reinstall hailo-common; udevadm trigger"
            yield CheckResult("permissions", "fail", f"{name} is closed to its group", remedy)
        else:
            yield CheckResult("permissions", "ok", f"{name} is for its owner and its group")
    for holder in nodes.holders(nodes.device_nodes(root)):
        yield CheckResult("device", "ok", f"in use by {holder}")

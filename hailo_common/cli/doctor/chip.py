"""The Hailo device, which is not opened: chip, driver, library, node, who has it. Asks files only."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from hailo_common.cli.doctor.check import CheckResult, System
from hailo_common.files import size_text
from hailo_common.npu import device_nodes as nodes
from hailo_common.npu.errors import POWER
from hailo_common.npu.hef import later_release
from hailo_common.npu.library import library_version, unfit_python
from hailo_common.npu.versions import DRIVERS, PCI_HAILO10H, hailort_version

_PACKAGES = (
    *("h10-hailort", "h10-hailort-pcie-driver", "python3-h10-hailort"),
    *("hailort", "hailort-pcie-driver", "python3-hailort"),
)
_GROUP = "hailo-devices"
_CMA_WANTED = 256 << 20
"""Bytes. What one language model takes of it, about, by others' reports (234 MB)."""
_CMA_LINE = "dtoverlay=cma,cma-512"
_CONFIG = "/boot/firmware/config.txt"
_OLLAMA, _OLLAMA_GROUP = "hailo-ollama", "HAILO_OLLAMA_VDEVICE_GROUP_ID"
_PLACES = ("usr/lib/python3/dist-packages", "usr/local/lib/python3*/dist-packages")


def check_device(system: System) -> Iterator[CheckResult]:
    """Is there a Hailo-10H, and could a service use it?"""
    root = system.paths.root
    found, devices, chips = nodes.device_nodes(root), nodes.sysfs_devices(root), nodes.pci_chips(root)
    driver = nodes.driver_version(root)
    if not found and not devices:
        yield from _no_device(chips, driver)
        yield from _packages_fit(system, chips)
        return
    names = ", ".join(f"/{node.relative_to(root)}" for node in found)
    if not found:
        text = f"the driver reports {len(devices)} device, but there is no node in /dev"
        classes = " ".join(f"--subsystem-match={each.device_class}" for each in DRIVERS)
        yield CheckResult("device", "fail", text, f"udev created no node: udevadm trigger {classes}")
    elif devices and not any(device.supported for device in devices):
        text = f"{names} is a Hailo-8, which HailoRT 5 does not drive"
        yield CheckResult("device", "fail", text, _CPU_ONLY)
    else:
        yield CheckResult("device", "ok", names)
    library = installed_library(system)
    yield from _packages_fit(system, chips)
    yield from _versions(system, driver, library)
    yield from _hefs(system, library or driver)
    yield from _rights(system)
    yield from _holders(system, driver)
    yield from _bus(system, chips)
    yield from _contiguous_memory(system)


_CPU_ONLY = "the services use the CPU; for the NPU they need a Hailo-10H (AI HAT+ 2)"


def _no_device(chips: Sequence[nodes.PciChip], driver: str) -> Iterator[CheckResult]:
    if chips and all(chip.is_hailo8 for chip in chips):
        text = f"the chip on the PCIe bus ({chips[0].address}) is a Hailo-8, which HailoRT 5 does not drive"
        yield CheckResult("device", "fail", text, _CPU_ONLY)
    elif chips and not driver:
        remedy = "install the driver and restart: apt install dkms h10-hailort-pcie-driver; reboot"
        text = f"a Hailo chip is on the PCIe bus ({chips[0].address}), but no driver is loaded"
        yield CheckResult("device", "fail", text, remedy)
    elif driver:
        remedy = (
            "look at: dmesg | grep -i hailo; check that the HAT and its cable are seated firmly; if its"
            f" firmware did not load, {POWER}"
        )
        yield CheckResult("device", "fail", f"driver {driver} is loaded, but it has no device", remedy)
    else:
        yield CheckResult("device", "ok", "no Hailo device here; the services use the CPU")


def installed_library(system: System) -> str:
    """The version of HailoRT's Python library on the machine that is looked at; "" where there is none."""
    folders = [settings.hailort_python_path for _, settings in system.settings()]
    if system.live:
        return next(filter(None, map(library_version, dict.fromkeys([*folders, ""]))), "")
    root = system.paths.root
    named = [root / folder.lstrip("/") for folder in folders if folder]
    places = [*named, *(path for place in _PLACES for path in sorted(root.glob(place)))]
    found = [path for place in places for path in sorted(place.glob("hailort-*.*-info"))]
    return found[0].name.rpartition(".")[0].partition("-")[2] if found else ""


def packages(system: System) -> dict[str, str]:
    """Installed packages of Hailo's and their versions, without epoch and revision."""
    found = {}
    for entry in system.read("/var/lib/dpkg/status").split("\n\n"):
        fields = dict(re.findall(r"^(Package|Status|Version): (.*)$", entry, re.MULTILINE))
        if fields.get("Package") in _PACKAGES and fields.get("Status", "").endswith(" installed"):
            found[fields["Package"]] = fields.get("Version", "").rpartition(":")[2].partition("-")[0]
    return found


def _packages_fit(system: System, chips: Sequence[nodes.PciChip]) -> Iterator[CheckResult]:
    """A Hailo-8's packages beside a Hailo-10H: their module binds nothing, or is there beside the other."""
    modules = [name for name in ("hailo1x_pci", "hailo_pci") if system.exists(f"/sys/module/{name}")]
    built = {path.name.partition(".")[0] for path in system.glob("/lib/modules/*/updates/dkms/hailo*.ko*")}
    installed = packages(system)
    old = {name for name, version in installed.items() if version.startswith("4.")}
    has_10h = any(chip.device in PCI_HAILO10H for chip in chips)
    if len(modules) == 2 or len(built) == 2:
        remedy = "keep that of your chip: apt purge hailort-pcie-driver for a Hailo-10H; reboot"
        yield CheckResult("driver", "warn", "the drivers of Hailo-8 and Hailo-10H are both installed", remedy)
    elif has_10h and old and "hailo1x_pci" not in modules:
        text = f"the packages are a Hailo-8's ({', '.join(sorted(old))}), the chip is a Hailo-10H"
        yield CheckResult(
            "driver", "fail", text, "apt install dkms hailo-h10-all, which replaces them; reboot"
        )


def _versions(system: System, driver: str, library: str) -> Iterator[CheckResult]:
    installed = packages(system)
    vendor = "hailort" in installed and "h10-hailort" not in installed
    if not library:
        remedy = (
            "install Hailo's wheel of the same version and name its folder: hailort_python_path"
            if vendor
            else "apt install python3-h10-hailort"
        )
        yield CheckResult("hailort", "fail", "its Python library is not installed", remedy)
        return
    versions = {"driver": driver, "Python library": library, **installed}
    known = {name: ".".join(version.split(".")[:3]) for name, version in versions.items() if version}
    text = ", ".join(f"{name} {version}" for name, version in known.items())
    if system.live and (why := unfit_python(library)):
        yield CheckResult("hailort", "fail", why, "install a release that is for Debian's Python")
    if len(set(known.values())) == 1:
        yield CheckResult("hailort", "ok", text)
        return
    upgrade = (
        "install library, driver and wheel of one version from Hailo"
        if vendor
        else "apt install --only-upgrade h10-hailort h10-hailort-pcie-driver python3-h10-hailort"
    )
    yield CheckResult(
        "hailort", "fail", f"versions differ: {text}", f"all must be of one version: {upgrade}; then {POWER}"
    )


def _hefs(system: System, release: str) -> Iterator[CheckResult]:
    """Models made for a later release than what is here, which it refuses."""
    if not release:
        return
    for path in system.glob("/var/lib/hailo-models/*/*.hef"):
        if made := later_release(path, release):
            name = path.parent.name
            text = f"{name} was made for HailoRT {made}, and {release} is installed, which refuses it"
            remedy = f"hailo-ctl models remove {name}; hailo-ctl models fetch takes the one that fits"
            yield CheckResult("models", "fail", text, remedy)


def _rights(system: System) -> Iterator[CheckResult]:
    root = system.paths.root
    for node in nodes.device_nodes(root):
        status = node.stat()
        name = f"/{node.relative_to(root)}"
        if status.st_mode & 0o006 == 0o006:
            text = f"{name} is open to every user of this machine, by the vendor's udev rule"
            yield CheckResult("permissions", "ok", text)
        elif status.st_mode & 0o060 != 0o060:
            classes = " ".join(f"--subsystem-match={each.device_class}" for each in DRIVERS)
            remedy = (
                f"group {_GROUP} needs it: apt install --reinstall hailo-common;"
                f" udevadm control --reload-rules; udevadm trigger {classes}"
            )
            yield CheckResult("permissions", "fail", f"{name} is closed to its group", remedy)
        else:
            yield CheckResult("permissions", "ok", f"{name} is for its owner and its group")


def _holders(system: System, driver: str) -> Iterator[CheckResult]:
    """Who has the chip; hailo-ollama shares it only from 5.3 on, and only if its unit says so."""
    root = system.paths.root
    own = {settings.hailo_group_id for _, settings in system.settings()} or {"SHARED"}
    for holder in nodes.holders(nodes.device_nodes(root), root / "proc", root):
        if not holder.name.startswith(_OLLAMA):
            yield CheckResult("device", "ok", f"in use by {holder}")
            continue
        group = _environment(root / "proc" / str(holder.pid)).get(_OLLAMA_GROUP, "")
        if group in own:
            yield CheckResult("device", "ok", f"in use by {holder}, which shares it (group {group})")
        elif hailort_version(driver).ollama_shares:
            remedy = (
                f"systemctl edit hailo-ollama: [Service] Environment={_OLLAMA_GROUP}={min(own)}; restart it"
            )
            yield CheckResult("device", "warn", f"{holder} has the chip in another group", remedy)
        else:
            remedy = (
                "stop it while a service uses the chip: systemctl stop hailo-ollama (they share from 5.3 on)"
            )
            yield CheckResult("device", "warn", f"{holder} wants the chip for itself", remedy)


def _environment(process: Path) -> dict[str, str]:
    try:
        text = (process / "environ").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    return dict(item.split("=", 1) for item in text.split("\0") if "=" in item)


def _bus(system: System, chips: Sequence[nodes.PciChip]) -> Iterator[CheckResult]:
    """The link's generation and the chip's interrupt, of the chips that HailoRT 5 drives."""
    for chip in chips:
        if chip.is_hailo8:
            continue
        folder = f"/sys/bus/pci/devices/{chip.address}"
        speed = re.match(r"([\d.]+) GT/s", system.read(f"{folder}/current_link_speed"))
        if speed and float(speed[1]) < 8.0:
            text = f"the PCIe link runs at {speed[1]} GT/s instead of 8: models load slower"
            remedy = f"put dtparam=pciex1_gen=3 into {_CONFIG} and reboot; if it stays, seat the cable anew"
            yield CheckResult("pcie", "warn", text, remedy)
        interrupts = system.glob(f"{folder}/msi_irqs/*")
        if system.exists(f"{folder}/driver") and not interrupts:
            remedy = (
                f"a switch board takes them: put dtoverlay=pciex1-compat-pi5,no-mip into {_CONFIG}, reboot,"
                " or connect the Hailo board directly"
            )
            yield CheckResult("pcie", "fail", "the driver has the chip, but no interrupt (MSI) of it", remedy)


def _contiguous_memory(system: System) -> Iterator[CheckResult]:
    """CMA, of which a language model on the chip takes a good part on the host."""
    total = system.memory().get("CmaTotal")
    if total is None:
        return
    in_cmdline = re.search(r"\bcma=(\S+)", system.read("/proc/cmdline"))
    overlay = re.search(r"^\s*dtoverlay=cma,cma-(\d+)", system.read(_CONFIG), re.MULTILINE)
    if in_cmdline:
        text = f"cma={in_cmdline[1]} on the kernel's command line, which breaks the firmware's mailbox"
        remedy = f"take it out of /boot/firmware/cmdline.txt, put {_CMA_LINE} into {_CONFIG}, and reboot"
        yield CheckResult("cma", "fail", text, remedy)
    elif not total and overlay and int(overlay[1]) > 512:
        text = f"no contiguous memory (CMA): dtoverlay=cma,cma-{overlay[1]} asks for more than there can be"
        yield CheckResult("cma", "fail", text, f"put {_CMA_LINE} into {_CONFIG} instead, and reboot")
    elif total < _CMA_WANTED:
        text = f"{size_text(total)} of contiguous memory (CMA); a language model on the chip wants 256 MB"
        yield CheckResult("cma", "warn", text, f"put {_CMA_LINE} into {_CONFIG}, and reboot")
    else:
        yield CheckResult("cma", "ok", f"{size_text(total)} of contiguous memory (CMA)")

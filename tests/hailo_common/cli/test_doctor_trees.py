"""`hailo-ctl doctor --root` on prepared machines: each names the cause, and its advice, followed, mends it.

A tree is what files of a Raspberry Pi say; nothing of the machine that runs the tests is asked.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from hailo_common.cli import client
from tests.hailo_common.cli.conftest import Machine

ADDRESS = "0001:01:00.0"
CHIP = f"sys/bus/pci/devices/{ADDRESS}"
CONFIG = "boot/firmware/config.txt"
STATUS = "var/lib/dpkg/status"
LIBRARY = "usr/lib/python3/dist-packages"
MEMORY = "MemTotal: 8000000 kB\nMemAvailable: {free} kB\nCmaTotal: {cma} kB\nCmaFree: {cma} kB\n"
Change = Callable[["Pi"], object]


class Pi:
    """A Raspberry Pi 5 with an AI HAT+ 2 on which all is well, to be spoilt and mended."""

    def __init__(self, machine: Machine, release: str = "5.1.1") -> None:
        self.machine, self.root, self.put = machine, machine.root, machine.put
        self.memory()
        self.put("proc/cmdline", "console=tty1 root=/dev/mmcblk0p2\n")
        self.put("proc/cpuinfo", "processor : 0\nprocessor : 1\n")
        self.put("sys/class/thermal/thermal_zone0/temp", "51200\n")
        self.put("sys/devices/platform/soc/soc:firmware/get_throttled", "0\n")
        self.supply(5000)
        self.put("run/systemd/timesync/synchronized", "")
        self.put(CONFIG, "dtoverlay=cma,cma-512\n")
        self.chip()
        self.stack(release)

    def memory(self, free: int = 6_000_000, cma: int = 524_288) -> None:
        self.put("proc/meminfo", MEMORY.format(free=free, cma=cma))

    def supply(self, milliamperes: int) -> None:
        self.put("proc/device-tree/chosen/power/max_current", milliamperes.to_bytes(4, "big"))

    def chip(self, device: str = "0x45c4", *, speed: str = "8.0 GT/s PCIe", interrupts: bool = True) -> None:
        self.remove(f"{CHIP}/msi_irqs/31")
        self.put(f"{CHIP}/vendor", "0x1e60\n")
        self.put(f"{CHIP}/device", f"{device}\n")
        self.put(f"{CHIP}/current_link_speed", f"{speed}\n")
        self.put(f"{CHIP}/driver/module", "")
        if interrupts:
            self.put(f"{CHIP}/msi_irqs/31", "msi\n")

    def stack(self, release: str, *, driver: str = "", mode: int = 0o660) -> None:
        """Driver, node, packages and library of a release."""
        self.unplug()
        new = tuple(map(int, release.split("."))) >= (5, 3)
        name, kind = ("h1x-0", "hailo1x") if new else ("hailo0", "hailo_chardev")
        self.put(f"dev/{name}", "").chmod(mode)
        entry = f"sys/class/{kind}/{name}"
        self.put(f"{entry}/{'device_id' if new else 'board_location'}", ADDRESS)
        if not new:
            self.put(f"{entry}/accelerator_type", "1")
        self.put("sys/module/hailo1x_pci/version", f"{driver or release}\n")
        self.packages({"h10-hailort": f"{release}-1", "h10-hailort-pcie-driver": driver or release})
        self.library(release)

    def unplug(self) -> None:
        """No driver has a device."""
        for kind, name in (("hailo1x", "h1x-0"), ("hailo_chardev", "hailo0")):
            for part in ("device_id", "board_location", "accelerator_type"):
                self.remove(f"sys/class/{kind}/{name}/{part}")
            entry = self.root / f"sys/class/{kind}/{name}"
            if entry.exists():
                entry.rmdir()
            self.remove(f"dev/{name}")

    def packages(self, versions: dict[str, str]) -> None:
        rows = [
            f"Package: {name}\nStatus: install ok installed\nVersion: {version}\n"
            for name, version in versions.items()
        ]
        self.put(STATUS, "\n".join(rows))

    def library(self, release: str, folder: str = LIBRARY) -> None:
        for path in (self.root / folder).glob("hailort-*.dist-info"):
            (path / "METADATA").unlink()
            path.rmdir()
        if release:
            self.put(f"{folder}/hailort-{release}.dist-info/METADATA", f"Name: hailort\nVersion: {release}\n")

    def process(self, number: int, name: str, node: str = "/dev/hailo0", **environ: str) -> None:
        """One that has the node open."""
        self.put(f"proc/{number}/comm", f"{name}\n")
        self.put(f"proc/{number}/environ", "\0".join(f"{key}={value}" for key, value in environ.items()))
        folder = self.root / f"proc/{number}/fd"
        folder.mkdir(exist_ok=True)
        if not (folder / "7").is_symlink():
            (folder / "7").symlink_to(node)

    def end(self, number: int) -> None:
        (self.root / f"proc/{number}/fd/7").unlink()

    def module(self, name: str) -> str:
        return f"sys/module/{name}/version"

    def remove(self, path: str) -> None:
        (self.root / path).unlink(missing_ok=True)

    def hef(self, model: str, release: str) -> None:
        self.put(f"var/lib/hailo-models/{model}/model.hef", b"\x01HEF....sdk-version: " + release.encode())

    def configure(self, text: str) -> None:
        self.put("etc/hailo/hailo-vision.yaml", text)

    def findings(self) -> list[dict[str, Any]]:
        """What doctor says, as JSON."""
        found = self.machine.ctl("doctor", "hailo-vision", "--json").json()["findings"]
        return [each for each in found if each["area"] in AREAS]


AREAS = {
    *("device", "driver", "hailort", "permissions", "pcie", "cma", "memory", "temperature", "power", "clock"),
    *("models", "hailo-vision: model"),
}
"""What a tree says of the machine; of services and their configuration other tests tell."""


@dataclass(frozen=True)
class Case:
    """A fault: how it comes, how it is told, a part of the remedy, and the remedy followed."""

    name: str
    spoil: Change
    state: str
    text: str
    remedy: str
    mend: Change
    release: str = "5.1.1"


def _both_modules(pi: Pi) -> None:
    pi.put(pi.module("hailo_pci"), "4.23.0\n")


def _one_module(pi: Pi) -> None:
    pi.remove(pi.module("hailo_pci"))
    (pi.root / "sys/module/hailo_pci").rmdir()


def _hailo8_packages(pi: Pi) -> None:
    pi.unplug()
    pi.remove(pi.module("hailo1x_pci"))
    (pi.root / "sys/module/hailo1x_pci").rmdir()
    pi.put(pi.module("hailo_pci"), "4.23.0\n")
    pi.packages({"hailort": "4.23.0", "hailort-pcie-driver": "4.23.0"})


def _replaced(pi: Pi) -> None:
    _one_module(pi)
    pi.stack("5.1.1")


def _no_driver(pi: Pi) -> None:
    pi.unplug()
    pi.remove(pi.module("hailo1x_pci"))


def _no_node(pi: Pi) -> None:
    pi.remove("dev/hailo0")


def _vendor(pi: Pi) -> None:
    pi.stack("5.4.0")
    pi.packages({"hailort": "5.4.0", "h10-hailort-pcie-driver": "5.4.0"})
    pi.library("")


def _wheel(pi: Pi) -> None:
    pi.library("5.4.0", "opt/hailo/site-packages")
    pi.configure("hailort_python_path: /opt/hailo/site-packages\n")


def _ollama(pi: Pi) -> None:
    pi.process(812, "hailo-ollama")


def _ollama_54(pi: Pi) -> None:
    pi.process(812, "hailo-ollama", "/dev/h1x-0", PATH="/usr/bin")


def _ollama_shares(pi: Pi) -> None:
    pi.process(812, "hailo-ollama", "/dev/h1x-0", HAILO_OLLAMA_VDEVICE_GROUP_ID="SHARED")


def _big_overlay(pi: Pi) -> None:
    pi.put(CONFIG, "dtoverlay=cma,cma-1024\n")
    pi.memory(cma=0)


def _small_overlay(pi: Pi) -> None:
    pi.put(CONFIG, "dtoverlay=cma,cma-512\n")
    pi.memory()


def _hailo8(pi: Pi) -> None:
    pi.unplug()
    pi.chip("0x2864")


def _hailo10h(pi: Pi) -> None:
    pi.chip()
    pi.stack("5.1.1")


def _cmdline(pi: Pi) -> None:
    pi.put("proc/cmdline", "console=tty1 cma=512M root=/dev/mmcblk0p2\n")


CASES = (
    Case("little CMA", lambda pi: pi.memory(cma=65_536), "warn", "of contiguous memory (CMA); a language",
         "dtoverlay=cma,cma-512", lambda pi: pi.memory(cma=524_288)),
    Case("CMA on the command line", _cmdline, "fail", "cma=512M on the kernel's command line",
         "take it out of /boot/firmware/cmdline.txt", lambda pi: pi.put("proc/cmdline", "console=tty1\n")),
    Case("too much CMA", _big_overlay, "fail", "cma-1024 asks for more than there can be",
         "dtoverlay=cma,cma-512", _small_overlay),
    Case("two drivers", _both_modules, "warn", "the drivers of Hailo-8 and Hailo-10H are both installed",
         "apt purge hailort-pcie-driver", _one_module),
    Case("packages of a Hailo-8", _hailo8_packages, "fail", "the packages are a Hailo-8's",
         "apt install dkms hailo-h10-all", _replaced),
    Case("no driver", _no_driver, "fail", f"on the PCIe bus ({ADDRESS}), but no driver is loaded",
         "apt install dkms h10-hailort-pcie-driver", lambda pi: pi.stack("5.1.1")),
    Case("a driver without a device", lambda pi: pi.unplug(), "fail", "is loaded, but it has no device",
         "remove power", lambda pi: pi.stack("5.1.1")),
    Case("no node", _no_node, "fail", "but there is no node in /dev", "udevadm trigger",
         lambda pi: pi.put("dev/hailo0", "").chmod(0o660)),
    Case("a closed node", lambda pi: (pi.root / "dev/hailo0").chmod(0o600), "fail",
         "/dev/hailo0 is closed to its group", "udevadm trigger --subsystem-match=hailo_chardev",
         lambda pi: (pi.root / "dev/hailo0").chmod(0o660)),
    Case("a Hailo-8 without a driver", _hailo8, "fail",
         "is a Hailo-8, which HailoRT 5 does not drive", "the services use the CPU",
         _hailo10h),
    Case("an interrupt that is missing", lambda pi: pi.chip(interrupts=False), "fail",
         "no interrupt (MSI)", "dtoverlay=pciex1-compat-pi5,no-mip", lambda pi: pi.chip()),
    Case("PCIe generation 2", lambda pi: pi.chip(speed="5.0 GT/s PCIe"), "warn",
         "runs at 5.0 GT/s instead of 8", "dtparam=pciex1_gen=3", lambda pi: pi.chip()),
    Case("an upgraded driver", lambda pi: pi.stack("5.1.1", driver="5.2.0"), "fail",
         "versions differ: driver 5.2.0, Python library 5.1.1", "h10-hailort-pcie-driver",
         lambda pi: pi.stack("5.1.1")),
    Case("no library", lambda pi: pi.library(""), "fail", "its Python library is not installed",
         "apt install python3-h10-hailort", lambda pi: pi.library("5.1.1")),
    Case("the vendor's packages without the wheel", _vendor, "fail", "its Python library is not installed",
         "hailort_python_path", _wheel, "5.4.0"),
    Case("a HEF of a later release", lambda pi: pi.hef("qwen", "5.4.0"), "fail",
         "qwen was made for HailoRT 5.4.0, and 5.1.1 is installed", "hailo-ctl models remove qwen",
         lambda pi: pi.hef("qwen", "5.1.1")),
    Case("hailo-ollama has the chip", _ollama, "warn", "hailo-ollama (process 812) wants the chip for itself",
         "systemctl stop hailo-ollama", lambda pi: pi.end(812)),
    Case("hailo-ollama in another group", _ollama_54, "warn", "has the chip in another group",
         "HAILO_OLLAMA_VDEVICE_GROUP_ID=SHARED", _ollama_shares, "5.4.0"),
    Case("a weak supply", lambda pi: pi.supply(3000), "warn", "the power supply gives 3 A", "27 W",
         lambda pi: pi.supply(5000)),
    Case("too little voltage",
         lambda pi: pi.put("sys/devices/platform/soc/soc:firmware/get_throttled", "50005\n"), "fail",
         "the supply voltage is too low now", "27 W",
         lambda pi: pi.put("sys/devices/platform/soc/soc:firmware/get_throttled", "50000\n")),
    Case("a clock that nobody set", lambda pi: pi.remove("run/systemd/timesync/synchronized"), "warn",
         "not synchronised", "timedatectl set-ntp true",
         lambda pi: pi.put("run/systemd/timesync/synchronized", "")),
    Case("little memory", lambda pi: pi.memory(free=200_000), "warn", "205 MB of 8.19 GB available",
         "stop other programs", lambda pi: pi.memory()),
)  # fmt: skip


@pytest.fixture(autouse=True)
def nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever asks the running machine fails the test."""

    def asked(*_words: object, **_named: object) -> None:
        raise AssertionError("the running machine was asked")

    monkeypatch.setattr("subprocess.run", asked)
    monkeypatch.setattr(client.Client, "get", asked)


def complaints(pi: Pi) -> list[dict[str, Any]]:
    """The findings that want something done, but for a model that is not fetched."""
    bad = [each for each in pi.findings() if each["state"] in ("warn", "fail")]
    return [each for each in bad if "models fetch" not in each["remedy"] or "refuses" in each["text"]]


@pytest.mark.parametrize("release", ["5.1.1", "5.2.0", "5.3.0", "5.4.0"])
def test_a_pi_on_which_all_is_well(machine: Machine, release: str) -> None:
    assert complaints(Pi(machine, release)) == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_fault_is_named_and_its_remedy_mends_it(machine: Machine, case: Case) -> None:
    pi = Pi(machine, case.release)
    case.spoil(pi)
    told = [each for each in complaints(pi) if case.text in each["text"]]
    assert [each["state"] for each in told] == [case.state], complaints(pi)
    assert case.remedy in told[0]["remedy"]
    case.mend(pi)
    assert complaints(pi) == []


def test_the_versions_at_the_top_are_the_trees(machine: Machine) -> None:
    report = Pi(machine, "5.2.0").machine.ctl("doctor", "hailo-vision", "--json").json()
    assert (report["hailo_driver"], report["hailort"]) == ("5.2.0", "5.2.0")
    assert "were not asked anything" in json.dumps(report)


def test_who_has_the_chip_is_told_by_the_trees_processes(machine: Machine) -> None:
    pi = Pi(machine)
    pi.process(99, "rpicam-hello")
    assert [each["text"] for each in pi.findings() if "in use by" in each["text"]] == [
        "in use by rpicam-hello (process 99)"
    ]


def missing(pi: Pi) -> list[str]:
    """The model of hailo-vision that is not there, as the list of models and as the service have it."""
    areas = ("models", "hailo-vision: model")
    texts = [
        each["text"] for each in pi.findings() if each["area"] in areas and "florence" not in each["text"]
    ]
    return [text.split()[0].rpartition("/")[2] for text in texts]


def test_the_model_that_is_missing_is_the_choice_of_the_trees_machine(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its chip, its memory and its engines, whatever the running machine has."""
    monkeypatch.setattr("hailo_common.models.store.Store.free_bytes", lambda _store: 64 << 30)
    pi = Pi(machine, "5.2.0")
    assert missing(pi) == ["qwen2-vl-2b-instruct-hailo10h-5.2.0"] * 2
    pi.unplug()
    pi.remove(f"{CHIP}/vendor")
    assert missing(pi) == ["qwen2-vl-2b-instruct-onnx"] * 2
    pi.put("usr/lib/aarch64-linux-gnu/hailo-llama/libllama.so.0", "")
    assert missing(pi) == ["smolvlm-256m-instruct-gguf"] * 2

"""The NPU through HailoRT: opened, asked for models and temperatures, given back. Only here is it imported.

Engine process only: the library holds Python's lock for seconds and a hung NPU may never let go. It must
never be forked after the NPU is open. What is called of it stands in `hailo_common.npu.types`, the versions
in `hailo_common.npu.versions`.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hailo_common.errors import DeviceLost, ModelMissing
from hailo_common.meminfo import sizes
from hailo_common.npu import device_nodes as nodes
from hailo_common.npu.errors import PASSING, Opening, explain, hailort_status, why_not_open
from hailo_common.npu.library import library_version, unfit_python
from hailo_common.npu.types import VLM, InferModel, Released, Temperatures
from hailo_common.npu.versions import HailoRtVersion, hailort_version
from hailo_common.resources import Closeable

log = logging.getLogger(__name__)

LOGGER_PATH = "HAILORT_LOGGER_PATH"
FIRST_DELAY_S = 0.25
MAX_DELAY_S = 2.0
LEAST_TRIES = 2
"""Of opening the NPU: HailoRT loses a reply now and then and notices after 10 s, when no time may be left."""
_TIMEOUT = 4
_NO_SENSOR = frozenset({7, 48, 79})
_MEMORY_RESERVE, _BLOCK = 512 << 20, 8 << 20
_FIRST_PAUSE_S, _MAX_PAUSE_S = 30.0, 600.0
_CONSOLE = "HAILORT_CONSOLE_LOGGER_LEVEL"
_NO_FILE = "NONE"


@dataclass(frozen=True)
class NpuSettings:
    """How to open the NPU; `log_dir` receives HailoRT's own log, None switches it off.

    Programs that use the same `group_id` share the NPU; "UNIQUE" wants it alone.
    """

    group_id: str
    open_timeout_s: float
    log_dir: Path | None = None

    @classmethod
    def read(cls, options: Mapping[str, Any]) -> NpuSettings:
        """From an engine's option `npu`: `service`, `group_id`, `timeout_s`; makes the log directory."""
        return cls(
            group_id=str(options["group_id"]),
            open_timeout_s=float(options["timeout_s"]),
            log_dir=log_directory(str(options["service"])),
        )


class Npu(Closeable):
    """One opened NPU. Release everything made with it before `close`."""

    def __init__(self, sdk: Any, vdevice: Any) -> None:
        """`sdk` is the imported `hailo_platform`; use `open_npu`."""
        self._sdk = sdk
        self._device: Any = None
        self._blind = False
        self._failures = 0
        self._next_reading = 0.0
        self.vdevice = vdevice

    @property
    def version(self) -> HailoRtVersion:
        """What the loaded library can do."""
        return hailort_version(_version_of(self._sdk))

    def infer_model(self, path: Path) -> InferModel:
        """Read a HEF of an ordinary network. Raises ModelMissing, or HailoRT's own exceptions."""
        if not path.is_file():
            raise ModelMissing(f"{path}: file is missing")
        model: InferModel = self.vdevice.create_infer_model(str(path))
        return model

    def vlm(self, path: Path) -> VLM:
        """Load a vision language model; blocks for seconds. Raises ModelMissing, or HailoRT's exceptions."""
        if not path.is_file():
            raise ModelMissing(f"{path}: file is missing")
        read_ahead(path)
        from hailo_platform.genai import VLM as Model  # noqa: PLC0415 - native, so late

        vlm: VLM = Model(self.vdevice, str(path))
        return vlm

    def format_type(self, name: str) -> Any:
        """The library's `FormatType` of that name (UINT8, UINT16, FLOAT32)."""
        return getattr(self._sdk.FormatType, name)

    def identity(self) -> str:
        """The NPU's architecture (`HAILO10H`); raises HailoRT's exceptions."""
        return str(self._control().identify().device_architecture.name)

    def answers(self) -> bool:
        """Whether the NPU itself still speaks: one reply may be lost, two are not."""
        for _ in range(LEAST_TRIES):
            try:
                return bool(self.identity())
            except Exception as error:
                log.info("the chip was asked who it is: %s", explain(error, "asking the chip"))
        return False

    def temperature(self, prove: Callable[[], object]) -> Temperatures | None:
        """Both sensors, in degrees Celsius; None when they cannot be read now. Needs no VDevice.

        A reading that fails is tried again, after longer and longer pauses: each may take 10 s. It goes
        through a connection of its own, whose end says that the model's may have ended, too, and nothing
        more: `prove` then uses the model on the NPU, and raises DeviceLost where that is gone.
        """
        if self._blind or time.monotonic() < self._next_reading:
            return None
        doubted = self._failures > 0
        try:
            reading = self._control().get_chip_temperature()
        except Exception as error:
            if self._not_read(error):
                prove()
            return None
        self._failures = 0
        if doubted:
            # Read through a new connection, which says nothing of what else ended with the one before.
            prove()
        return float(reading.ts0_temperature), float(reading.ts1_temperature)

    def _not_read(self, error: Exception) -> bool:
        """True where the NPU may be gone: not for a sensor that it lacks, nor for one lost reply."""
        number = hailort_status(error)
        self._blind = number in _NO_SENSOR
        self._failures += 1
        repeated = number != _TIMEOUT or self._failures > 1
        if repeated:
            pause = min(_FIRST_PAUSE_S * 2.0 ** min(self._failures - 1, 10), _MAX_PAUSE_S)
            self._next_reading = time.monotonic() + pause
        self._release_device()
        log.warning("the chip's temperature cannot be read: %s", explain(error, "asking for it"))
        return repeated and not self._blind

    def _release_device(self) -> None:
        """Close the connection that readings go through; the next one opens another."""
        device, self._device = self._device, None
        if device is not None:
            release(device, "releasing the chip")

    def _control(self) -> Any:
        if self._device is None:
            self._device = self._sdk.Device(*_only_supported())
        return self._device.control

    def close(self) -> None:
        """Give the NPU back. May be called twice; errors of a lost one are only logged."""
        self._blind = True
        self._release_device()
        vdevice, self.vdevice = self.vdevice, None
        if vdevice is not None:
            release(vdevice, "releasing the chip")


def read_ahead(path: Path) -> None:
    """Have a file in memory, where it has room there: off a slow SD card, at the pace of that.

    HailoRT gives up an upload that takes 120 s in all, which 2.2 GB pass at 18 MB/s, however long the model
    may take to load.
    """
    if path.stat().st_size + _MEMORY_RESERVE > _available_memory():
        return
    with path.open("rb", buffering=0) as file:
        block = memoryview(bytearray(_BLOCK))
        while file.readinto(block):
            pass


def _available_memory() -> int:
    """Bytes that programs can still have, files in memory let go; 0 where the kernel does not say."""
    try:
        return sizes(Path("/proc/meminfo").read_text(encoding="ascii")).get("MemAvailable", 0)
    except OSError:
        return 0


def release(held: Released, doing: str) -> None:
    """Release what belongs to HailoRT; what goes wrong is only logged, as the library's destructors do."""
    try:
        held.release()
    except Exception as error:
        log.warning("%s", explain(error, doing))


def open_npu(settings: NpuSettings) -> Npu:
    """Open the NPU, again and again while it is busy, until `open_timeout_s` is over, and at least twice.

    Raises DeviceLost whose code tells why (see `hailo_common.npu.errors`), with the remedy in its message.
    """
    deadline = time.monotonic() + settings.open_timeout_s
    delay = FIRST_DELAY_S
    sdk = _library(settings.log_dir)
    tried = 0
    while True:
        tried += 1
        try:
            return Npu(sdk, _vdevice(sdk, settings))
        except Exception as error:
            lost = why_not_open(error, _seen(sdk, settings))
            late = tried >= LEAST_TRIES and time.monotonic() + delay > deadline
            if lost.code not in PASSING or late:
                raise lost from error
        log.info("waiting for the chip: %s", lost)
        time.sleep(delay)
        delay = min(2 * delay, MAX_DELAY_S)


def log_directory(service: str, environ: Mapping[str, str] = os.environ) -> Path | None:
    """The service's log directory, made if need be: systemd's, else XDG's state folder; None without one."""
    first = environ.get("LOGS_DIRECTORY", "").partition(":")[0]
    state = environ.get("XDG_STATE_HOME", "")
    home = environ.get("HOME", "")
    for folder in (
        Path(first) if first else None,
        Path(state) / service if state.startswith("/") else None,
        Path(home) / ".local" / "state" / service if home.startswith("/") else None,
    ):
        if folder is not None and _writable(folder):
            return folder
    return None


def prepare_environment(log_dir: Path | None, environ: MutableMapping[str, str] = os.environ) -> None:
    """Set HailoRT's variables; call it before the library is imported. What an operator set stays.

    Left alone it writes `hailort.log` into the current directory and below HOME, neither of which a service
    has. `log_dir=None` switches its log files off; HOME becomes `log_dir` where it cannot be written.
    """
    environ.setdefault(LOGGER_PATH, str(log_dir) if log_dir else _NO_FILE)
    environ.setdefault(_CONSOLE, "error")
    home = environ.get("HOME", "")
    if log_dir is not None and not (home.startswith("/") and os.access(home, os.W_OK)):
        environ["HOME"] = str(log_dir)


def _library(log_dir: Path | None) -> Any:
    prepare_environment(log_dir)
    try:
        import hailo_platform  # noqa: PLC0415 - native, and after its environment is set
    except Exception as error:
        why = unfit_python(library_version()) or (
            "its library and its Python package differ in version or are incomplete"
        )
        raise DeviceLost(
            f"HailoRT is installed but cannot be loaded ({type(error).__name__}): {why}; install both from"
            " the same release.",
            code="hailort_broken",
        ) from error
    return hailo_platform


def _vdevice(sdk: Any, settings: NpuSettings) -> Any:
    params = sdk.VDevice.create_params()
    params.group_id = settings.group_id
    if chosen := _only_supported():
        params.device_ids = chosen
    return sdk.VDevice(params)


def _only_supported() -> list[str]:
    """The id of an NPU that HailoRT 5 drives, beside others: it does not choose by itself; else nothing."""
    devices = nodes.sysfs_devices()
    supported = [device for device in devices if device.supported]
    if len(supported) == len(devices):
        return []
    return [device.location for device in supported if device.location][:1]


def _seen(sdk: Any, settings: NpuSettings) -> Opening:
    """What can be found out about an NPU that does not open."""
    try:
        found = [str(name) for name in sdk.Device.scan()]
    except Exception:
        found = []
    return Opening(group_id=settings.group_id, scanned=found, library=_version_of(sdk))


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


def _version_of(sdk: Any) -> str:
    return str(getattr(sdk, "__version__", "unknown"))

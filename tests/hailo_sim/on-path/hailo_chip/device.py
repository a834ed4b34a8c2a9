"""Native objects behind `VDevice` and `Device`: opening the chip, sharing it, asking it things."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

from hailo_chip import faults, machine, state
from hailo_chip.enums import SchedulingAlgorithm
from hailo_chip.hef import Hef, parse, read
from hailo_chip.infer import NativeInferModel
from hailo_chip.settings import version
from hailo_chip.statuses import failed
from hailo_chip.violations import violation

TEMPERATURE = 47.5
_PARAMS = ("device_ids", "device_count", "scheduling_algorithm", "group_id", "multi_process_service")


class VDeviceParams:
    """What a VDevice is opened with; refuses unknown attributes and wrong types, as pybind does."""

    def __init__(self) -> None:
        self.device_ids: list[str] = []
        self.device_count = 1
        self.scheduling_algorithm: int = SchedulingAlgorithm.ROUND_ROBIN
        self.group_id = state.UNIQUE
        self.multi_process_service = False

    def __setattr__(self, name: str, value: object) -> None:
        if name not in _PARAMS:
            raise AttributeError(f"'VDeviceParams' object has no attribute {name!r}")
        if not _fits(name, value):
            raise TypeError(f"VDeviceParams.{name}: incompatible function arguments")
        if name == "device_ids" and isinstance(value, list):
            object.__setattr__(self, "device_count", len(value) or 1)
        object.__setattr__(self, name, value)


def _fits(name: str, value: object) -> bool:
    if name == "device_ids":
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    if name == "group_id":
        return isinstance(value, str)
    if name == "multi_process_service":
        return isinstance(value, bool)
    if name == "scheduling_algorithm":
        return isinstance(value, SchedulingAlgorithm)
    return isinstance(value, int) and value >= 0


class NativeVDevice:
    """The chip, opened for one group."""

    def __init__(self, params: VDeviceParams, ids: list[str]) -> None:
        """Raises the raw status exception: 74 without a free chip, 73 if a named one is busy, 2, 36, 76."""
        faults.point("VDevice")
        if ids and params.device_ids:
            raise failed("INVALID_OPERATION")
        if ids:  # the other parameters are forgotten, as in the real binding
            params = VDeviceParams()
            params.device_ids = ids
        self._node = -1
        _check(params)
        self.device = machine.choose(params.device_ids)
        if params.multi_process_service:
            raise failed("INVALID_OPERATION")
        if params.device_count > 1:
            raise failed("OUT_OF_PHYSICAL_DEVICES")
        self.params = params
        self._node = machine.open_node(self.device)
        try:
            self._place = state.join(params.group_id, named=bool(params.device_ids))
        except Exception:
            os.close(self._node)
            raise
        self.connection = state.Connection()
        self._pid = os.getpid()
        self.models = 0

    def create_infer_model(self, source: str | bytes, name: str) -> NativeInferModel:
        """Read a HEF. Raises the raw status exception."""
        faults.point("VDevice.create_infer_model")
        if not isinstance(source, (str, bytes)):
            raise TypeError("create_infer_model_from_file(): incompatible function arguments")
        hef: Hef = parse(source) if isinstance(source, bytes) else read(source)
        self.connection.check_open()
        if name:
            raise failed("NOT_IMPLEMENTED")
        if hef.about["kind"] != "infer":
            raise failed("INVALID_HEF")
        return NativeInferModel(hef, self.connection)

    def ids(self) -> list[str]:
        """The chip's address."""
        return [self.device.device_id]

    def check_process(self) -> None:
        """A GenAI object of a forked child breaks both processes on the real stack."""
        if os.getpid() != self._pid:
            violation("a VDevice was used by a forked process")

    def release(self) -> None:
        """Give the chip back. Raises nothing, dead or alive."""
        if self.models and not sys.is_finalizing():
            violation("a VDevice was released before its VLM")
        faults.logged("VDevice.release")
        self.connection.closed = True
        self._place.release()
        os.close(self._node)


def _check(params: VDeviceParams) -> None:
    if params.device_count == 0:
        raise failed("INVALID_ARGUMENT")


@dataclass(frozen=True)
class TemperatureInfo:
    """Two sensors in degrees Celsius, and how many readings they are the mean of."""

    ts0_temperature: float
    ts1_temperature: float
    sample_count: int


@dataclass(frozen=True)
class Identity:
    """What the chip says of itself."""

    protocol_version: int = 2
    architecture: int = 6
    board_name: str = ""
    serial_number: str = ""
    part_number: str = ""
    product_name: str = ""

    @property
    def firmware(self) -> tuple[int, int, int]:
        """The firmware's version, which is the library's."""
        major, minor, revision = map(int, version().split("."))
        return major, minor, revision


class NativeDevice:
    """A second connection to the chip, beside any VDevice; reserves nothing."""

    def __init__(self, device_id: str) -> None:
        """Raises the raw status exception."""
        faults.point("Device")
        self._node = machine.open_node(machine.choose([device_id]))
        self._connection = state.Connection()
        self.valid = True

    def identify(self) -> Identity:
        """Raises the raw status exception."""
        faults.point("Control.identify")
        self._connection.check()
        return Identity()

    def temperature(self) -> TemperatureInfo:
        """Raises the raw status exception."""
        faults.point("Control.get_chip_temperature")
        self._connection.check()
        return TemperatureInfo(TEMPERATURE, TEMPERATURE + 0.5, 10)

    def not_implemented(self) -> None:
        """What the Hailo-10H does not offer; raises status 7."""
        self._connection.check()
        raise failed("NOT_IMPLEMENTED")

    def release(self) -> None:
        """Close the connection."""
        self.valid = False
        os.close(self._node)


def scan() -> list[str]:
    """The addresses of the devices that the driver has; opens nothing. Raises the raw status exception."""
    faults.point("Device.scan")
    return [found.device_id for found in machine.scan()]

"""`VDevice`, `Device` and what the chip can be asked."""

from __future__ import annotations

import gc
import os
import signal
from enum import IntEnum
from typing import Any

from hailo_chip import device as native
from hailo_chip.enums import SchedulingAlgorithm as HailoSchedulingAlgorithm

from hailo_platform.pyhailort._exceptions import (
    ExceptionWrapper,
    HailoRTException,
    HailoRTInvalidOperationException,
)
from hailo_platform.pyhailort._models import InferModel

__all__ = ["HailoSchedulingAlgorithm"]


class DeviceArchitectureTypes(IntEnum):
    """Families of chips."""

    HAILO8_A0 = 0
    HAILO8 = 1
    HAILO8L = 2
    HAILO15H = 3
    HAILO15L = 4
    HAILO15M = 5
    HAILO10H = 6


class BoardInformation:
    """The answer of `identify`."""

    def __init__(self, answer: native.Identity) -> None:
        self.protocol_version = answer.protocol_version
        self.firmware_version = ".".join(map(str, answer.firmware))
        self.device_architecture = DeviceArchitectureTypes(answer.architecture)
        self.board_name = answer.board_name or "<N/A>"
        self.serial_number = answer.serial_number or "<N/A>"
        self.part_number = answer.part_number or "<N/A>"
        self.product_name = answer.product_name or "<N/A>"


class Control:
    """What a chip can be asked; made by `Device`."""

    def __init__(self, device: native.NativeDevice) -> None:
        self.__device = device
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGWINCH])
        self._identify_info = self.identify()

    @property
    def _device(self) -> native.NativeDevice:
        if not self.__device.valid:
            raise HailoRTInvalidOperationException("The device in use has been released")
        return self.__device

    def identify(self) -> BoardInformation:
        """What the chip says of itself."""
        with ExceptionWrapper():
            return BoardInformation(self._device.identify())

    def get_chip_temperature(self) -> native.TemperatureInfo:
        """Two sensors, in degrees Celsius."""
        with ExceptionWrapper():
            return self._device.temperature()

    def core_identify(self) -> None:
        """Not on this chip."""
        with ExceptionWrapper():
            self._device.not_implemented()


class Device:
    """A connection to the chip beside any VDevice."""

    @classmethod
    def scan(cls) -> list[str]:
        """Addresses of the chips; opens none. Raises raw exceptions."""
        return native.scan()

    def __init__(self, device_id: str | None = None) -> None:
        gc.collect()
        self._device: native.NativeDevice | None = None
        if device_id is None:
            found = Device.scan()
            if not found:
                raise HailoRTException("HailoRT device not found in the system")
            device_id = found[0]
        self._device = native.NativeDevice(device_id)
        self._control = Control(self._device)

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *args: object) -> None:
        self.release()

    def __del__(self) -> None:
        self.release()

    def release(self) -> None:
        """Close the connection; may be called twice."""
        if self._device is not None:
            with ExceptionWrapper():
                self._device.release()
            self._device = None

    @property
    def control(self) -> Control:
        """What the chip can be asked."""
        return self._control


class VDevice:
    """The chip, opened for this program's group."""

    def __init__(
        self, params: native.VDeviceParams | None = None, *, device_ids: list[str] | None = None
    ) -> None:
        gc.collect()
        self._vdevice: native.NativeVDevice | None = None
        self._creation_pid = os.getpid()
        if params is None:
            params = VDevice.create_params()
        with ExceptionWrapper():
            self._vdevice = native.NativeVDevice(params, device_ids or [])

    def __enter__(self) -> VDevice:
        return self

    def __exit__(self, *args: object) -> None:
        self.release()

    def __del__(self) -> None:
        self.release()

    def release(self) -> None:
        """Give the chip back; may be called twice. Raises raw exceptions."""
        if self._vdevice is not None:
            self._vdevice.release()
            self._vdevice = None

    @staticmethod
    def create_params() -> native.VDeviceParams:
        """The defaults, to be changed and given to a VDevice."""
        return native.VDeviceParams()

    def get_physical_devices_ids(self) -> list[str]:
        """Addresses of the chips in use."""
        with ExceptionWrapper():
            ids: list[str] = self._native.ids()
        return ids

    def create_infer_model(self, hef_source: str | bytes, name: str = "") -> InferModel:
        """Read the HEF of an ordinary network."""
        if os.getpid() != self._creation_pid:
            raise HailoRTException("InferModel can be created only from the process VDevice was created in.")
        with ExceptionWrapper():
            return InferModel(self._native.create_infer_model(hef_source, name), hef_source)

    @property
    def _native(self) -> Any:
        """None once released, whose methods then raise AttributeError, as in the real package."""
        return self._vdevice

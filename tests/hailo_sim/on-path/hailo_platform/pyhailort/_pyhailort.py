"""The names of the native part that programs need: raw exceptions, enumerations, plain records."""

from hailo_chip.device import TemperatureInfo, VDeviceParams
from hailo_chip.enums import (
    FormatOrder,
    FormatType,
    LLMGeneratorCompletionStatus,
    PowerMode,
    SchedulingAlgorithm,
)
from hailo_chip.settings import version
from hailo_chip.statuses import (
    HailoRTCustomException,
    HailoRTException,
    HailoRTStatusException,
    get_status_message,
)
from hailo_chip.streams import QuantInfo

__version__ = version()

__all__ = [
    "FormatOrder",
    "FormatType",
    "HailoRTCustomException",
    "HailoRTException",
    "HailoRTStatusException",
    "LLMGeneratorCompletionStatus",
    "PowerMode",
    "QuantInfo",
    "SchedulingAlgorithm",
    "TemperatureInfo",
    "VDeviceParams",
    "get_status_message",
]

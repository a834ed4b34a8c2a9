"""The names of `hailo_platform` that the services may use; see `tests.hailo_sim`."""

from hailo_chip import faults, log
from hailo_chip.settings import version

log.open_logs()
faults.at_import()

from hailo_platform.pyhailort.pyhailort import (  # noqa: E402
    AsyncInferJob,
    Device,
    FormatOrder,
    FormatType,
    HailoCommunicationClosedException,
    HailoPowerMode,
    HailoRTException,
    HailoRTStreamAbortedByUser,
    HailoSchedulingAlgorithm,
    VDevice,
)

__version__ = version()

__all__ = [
    "AsyncInferJob",
    "Device",
    "FormatOrder",
    "FormatType",
    "HailoCommunicationClosedException",
    "HailoPowerMode",
    "HailoRTException",
    "HailoRTStreamAbortedByUser",
    "HailoSchedulingAlgorithm",
    "VDevice",
]

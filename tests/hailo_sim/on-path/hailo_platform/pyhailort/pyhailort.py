"""The names of the real module, gathered; each class says in `__module__` that it comes from here."""

from hailo_chip.enums import FormatOrder, FormatType
from hailo_chip.enums import PowerMode as HailoPowerMode

from hailo_platform.pyhailort import _pyhailort
from hailo_platform.pyhailort._devices import (
    BoardInformation,
    Control,
    Device,
    DeviceArchitectureTypes,
    HailoSchedulingAlgorithm,
    VDevice,
)
from hailo_platform.pyhailort._exceptions import (
    ExceptionWrapper,
    HailoCommunicationClosedException,
    HailoRTDriverOperationFailedException,
    HailoRTEthException,
    HailoRTException,
    HailoRTFirmwareControlFailedException,
    HailoRTHEFNotCompatibleWithDevice,
    HailoRTInvalidArgumentException,
    HailoRTInvalidFrameException,
    HailoRTInvalidHEFException,
    HailoRTInvalidOperationException,
    HailoRTNetworkGroupNotActivatedException,
    HailoRTNotFoundException,
    HailoRTPCIeDriverException,
    HailoRTStreamAborted,
    HailoRTStreamAbortedByUser,
    HailoRTTimeout,
    HailoRTUnsupportedOpcodeException,
    HailoStatusInvalidValueException,
    InvalidProtocolVersionException,
    get_status_message,
)
from hailo_platform.pyhailort._genai import VLM, LLMGeneratorCompletion
from hailo_platform.pyhailort._models import (
    AsyncInferCompletionInfo,
    AsyncInferJob,
    ConfiguredInferModel,
    InferModel,
)

__all__ = [
    "VLM",
    "AsyncInferCompletionInfo",
    "AsyncInferJob",
    "BoardInformation",
    "ConfiguredInferModel",
    "Control",
    "Device",
    "DeviceArchitectureTypes",
    "ExceptionWrapper",
    "FormatOrder",
    "FormatType",
    "HailoCommunicationClosedException",
    "HailoPowerMode",
    "HailoRTDriverOperationFailedException",
    "HailoRTEthException",
    "HailoRTException",
    "HailoRTFirmwareControlFailedException",
    "HailoRTHEFNotCompatibleWithDevice",
    "HailoRTInvalidArgumentException",
    "HailoRTInvalidFrameException",
    "HailoRTInvalidHEFException",
    "HailoRTInvalidOperationException",
    "HailoRTNetworkGroupNotActivatedException",
    "HailoRTNotFoundException",
    "HailoRTPCIeDriverException",
    "HailoRTStreamAborted",
    "HailoRTStreamAbortedByUser",
    "HailoRTTimeout",
    "HailoRTUnsupportedOpcodeException",
    "HailoSchedulingAlgorithm",
    "HailoStatusInvalidValueException",
    "InferModel",
    "InvalidProtocolVersionException",
    "LLMGeneratorCompletion",
    "VDevice",
    "_pyhailort",
    "get_status_message",
]

for _each in (
    *(VLM, LLMGeneratorCompletion, InferModel, ConfiguredInferModel, AsyncInferJob, AsyncInferCompletionInfo),
    *(Device, VDevice, Control, BoardInformation, DeviceArchitectureTypes, ExceptionWrapper),
):
    _each.__module__ = __name__

"""The public exceptions, and the wrapper that makes them from raw ones."""

from __future__ import annotations

from types import TracebackType

from hailo_chip import statuses
from hailo_chip.settings import is_old

_MODULE = "hailo_platform.pyhailort.pyhailort"


class _OldException(Exception):
    """The base of 5.1.1, which knows nothing of the native exceptions."""


_OldException.__name__ = _OldException.__qualname__ = "HailoRTException"
_OldException.__module__ = _MODULE

HailoRTException: type[Exception] = _OldException if is_old() else statuses.HailoRTException


class HailoStatusInvalidValueException(Exception):
    """A number that is no status."""


HailoStatusInvalidValueException.__module__ = _MODULE


def _made(name: str) -> type[Exception]:
    return type(name, (HailoRTException,), {"__module__": _MODULE, "__doc__": "See `ExceptionWrapper`."})


InvalidProtocolVersionException = _made("InvalidProtocolVersionException")
HailoRTFirmwareControlFailedException = _made("HailoRTFirmwareControlFailedException")
HailoRTInvalidFrameException = _made("HailoRTInvalidFrameException")
HailoRTUnsupportedOpcodeException = _made("HailoRTUnsupportedOpcodeException")
HailoRTTimeout = _made("HailoRTTimeout")
HailoRTStreamAborted = _made("HailoRTStreamAborted")
HailoRTStreamAbortedByUser = _made("HailoRTStreamAbortedByUser")
HailoRTInvalidOperationException = _made("HailoRTInvalidOperationException")
HailoRTInvalidArgumentException = _made("HailoRTInvalidArgumentException")
HailoRTNotFoundException = _made("HailoRTNotFoundException")
HailoRTInvalidHEFException = _made("HailoRTInvalidHEFException")
HailoRTHEFNotCompatibleWithDevice = _made("HailoRTHEFNotCompatibleWithDevice")
HailoRTEthException = _made("HailoRTEthException")
HailoRTDriverOperationFailedException = _made("HailoRTDriverOperationFailedException")
HailoRTPCIeDriverException = HailoRTDriverOperationFailedException
HailoRTNetworkGroupNotActivatedException = _made("HailoRTNetworkGroupNotActivatedException")
HailoCommunicationClosedException = _made("HailoCommunicationClosedException")

_TABLE = {
    "UNSUPPORTED_CONTROL_PROTOCOL_VERSION": InvalidProtocolVersionException,
    "FW_CONTROL_FAILURE": HailoRTFirmwareControlFailedException,
    "UNSUPPORTED_OPCODE": HailoRTUnsupportedOpcodeException,
    "INVALID_FRAME": HailoRTInvalidFrameException,
    "TIMEOUT": HailoRTTimeout,
    "STREAM_ABORT": HailoRTStreamAborted,
    "INVALID_OPERATION": HailoRTInvalidOperationException,
    "INVALID_ARGUMENT": HailoRTInvalidArgumentException,
    "NOT_FOUND": HailoRTNotFoundException,
    "INVALID_HEF": HailoRTInvalidHEFException,
    "HEF_NOT_COMPATIBLE_WITH_DEVICE": HailoRTHEFNotCompatibleWithDevice,
    "ETH_FAILURE": HailoRTEthException,
    "DRIVER_OPERATION_FAILED": HailoRTDriverOperationFailedException,
    "COMMUNICATION_CLOSED": HailoCommunicationClosedException,
    "NETWORK_GROUP_NOT_ACTIVATED": HailoRTNetworkGroupNotActivatedException,
}


class ExceptionWrapper:
    """Turns a raw status exception that leaves the block into a public one; others pass as they are."""

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exception_type is statuses.HailoRTStatusException and value is not None:
            raise self.create_exception_from_status(int(value.args[0])) from value

    @staticmethod
    def create_exception_from_status(error_code: int) -> Exception:
        """The public exception of a status number."""
        name = get_status_message(error_code)
        kind = _TABLE.get(name.removeprefix("HAILO_"))
        if kind is None:
            return HailoRTException(f"libhailort failed with error: {error_code} ({name})")
        return kind("the reason is in hailort.log")


def get_status_message(status_code: int) -> str:
    """The name of a status. Raises HailoStatusInvalidValueException for a number that is none."""
    name = statuses.get_status_message(status_code)
    if not name:
        raise HailoStatusInvalidValueException(f"Value {status_code} is not a valid status")
    return name

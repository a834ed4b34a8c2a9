"""Raw and public exceptions of every version."""

from __future__ import annotations

from tests.hailo_sim.running import run
from tests.npu import Machine

CLASSES = {
    2: "HailoRTInvalidArgumentException",
    4: "HailoRTTimeout",
    6: "HailoRTInvalidOperationException",
    15: "InvalidProtocolVersionException",
    18: "HailoRTFirmwareControlFailedException",
    19: "HailoRTEthException",
    25: "HailoRTInvalidFrameException",
    26: "HailoRTInvalidHEFException",
    36: "HailoRTDriverOperationFailedException",
    48: "HailoRTUnsupportedOpcodeException",
    61: "HailoRTNotFoundException",
    62: "HailoCommunicationClosedException",
    63: "HailoRTStreamAborted",
    69: "HailoRTNetworkGroupNotActivatedException",
    93: "HailoRTHEFNotCompatibleWithDevice",
}


def test_every_status_has_its_class(machine: Machine) -> None:
    body = """
def wrapped(number):
    with py.ExceptionWrapper():
        raise raw.HailoRTStatusException(str(number))
for number in range(1, 98):
    kinds, text = refused(lambda: wrapped(number))
    say([number, kinds[0], "HailoRTException" in kinds, text])
say(refused(lambda: py.get_status_message(98)))
"""
    *rows, unknown = run(machine, body)
    assert len(rows) == 97
    for number, kind, based, text in rows:
        assert kind == CLASSES.get(number, "HailoRTException")
        assert based
        assert number in CLASSES or text.startswith(f"libhailort failed with error: {number} (HAILO_")
    assert unknown[0][0] == "HailoStatusInvalidValueException"


def test_only_the_newer_version_catches_raw_exceptions(machine: Machine, version: str) -> None:
    body = """
say([issubclass(raw.HailoRTStatusException, py.HailoRTException),
     py.HailoRTException is raw.HailoRTException,
     py.HailoRTTimeout.__module__, raw.HailoRTStatusException.__module__,
     py.HailoRTPCIeDriverException is py.HailoRTDriverOperationFailedException])
"""
    new = version != "5.1.1"
    ((catches, same, public, native, alias),) = run(machine, body)
    assert catches is new
    assert same is new
    assert public == "hailo_platform.pyhailort.pyhailort"
    assert native == "hailo_platform.pyhailort._pyhailort"
    assert alias

"""The campaign: which faults are injected where, and what a client must be told."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

import httpx

from tests.hailo_vision.npu.serving import Npu, error_of
from tests.npu import Fault

STATUSES = (2, 3, 4, 5, 6, 7, 8, 36, 61, 62, 63, 71, 76, 77, 81, 82, 87, 89, 95, 96, 97)
REQUEST_CALLS = {
    "VLM.tokenize": 1,
    "VLM.clear_context": 1,
    "VLM.generate": 1,
    "encode": 1,
    "LLMGeneratorCompletion.read": 3,
    "prefill": 1,
    "token": 2,
    "VLM.get_context_usage_size": 1,
}
"""Every call of a request, and at which one of them the fault happens."""
LOAD_CALLS = (
    *("import", "VDevice", "VLM", "VLM.max_context_capacity", "VLM.get_stop_tokens", "VLM.tokenize"),
    *("VLM.clear_context", "VLM.generate", "encode", "prefill", "LLMGeneratorCompletion.read"),
    "VLM.get_context_usage_size",
)
"""Every call of a load. HEFs that are refused are tested by themselves: they end the service."""
CODES = {
    *("device_lost", "device_unresponsive", "device_out_of_memory", "driver_mismatch", "device_busy"),
    *("device_absent", "device_permission", "device_unreachable", "hailort_broken", "wrong_device"),
}
"""The codes of a chip that fails, as docs/vision-api.md lists them."""
REMEDY = re.compile(r"reboot|unload|stop|see `|reset|install|end it|end the other|use |check |group|end ")


@dataclass(frozen=True)
class Case:
    """One fault and the code that a request meets."""

    fault: Fault
    codes: frozenset[str]

    def __str__(self) -> str:
        fault = self.fault
        return f"{fault.call}-{fault.what}{fault.status or ''}"


def _cases(call: str, at: int, times: int) -> list[Case]:
    """All faults at one call."""
    lost = frozenset(CODES)
    made = [Case(Fault(call, "status", status=n, at=at, times=times), lost) for n in STATUSES]
    made.append(Case(Fault(call, "lost", at=at), lost))
    made.append(Case(Fault(call, "lost", seconds=1.0, at=at), lost))
    made.append(Case(Fault(call, "die", at=at), frozenset({"engine_lost"})))
    return made


def request_cases() -> list[Case]:
    """Faults while a request is worked on."""
    return [case for call, at in REQUEST_CALLS.items() for case in _cases(call, at, 1)]


def load_cases() -> list[Case]:
    """Faults at every load until the chip is healed."""
    return [
        Case(Fault(call, "status", status=n, times=0), frozenset(CODES))
        for call in LOAD_CALLS
        for n in (*STATUSES, 73, 74)
        if not (call == "VLM" and n in (26, 75, 91, 92, 93))
    ]


def some(cases: list[Case], version: str, each: int) -> list[Case]:
    """`each` cases of every call, others for each version; the same on every run."""
    dice = random.Random(f"faults {version}")
    calls = dict.fromkeys(case.fault.call for case in cases)
    return [
        case
        for call in calls
        for case in dice.sample([case for case in cases if case.fault.call == call], each)
    ]


def check_told(reply: httpx.Response, case: Case) -> None:
    """The documented status, a code of the list, a message with the remedy, and when to try again."""
    assert reply.status_code == 503, (str(case), reply.text)
    error = error_of(reply)
    assert error["code"] in case.codes, (str(case), error)
    assert error["type"] == "server_error"
    if "engine_lost" not in case.codes:
        assert REMEDY.search(error["message"]), (str(case), error)
        assert "status" in error["message"] or error["code"] == "hailort_broken", (str(case), error)
    assert 1 <= int(reply.headers["retry-after"]) <= 120


def losses(npu: Npu) -> int:
    """How often the service lost its engine."""
    return int(npu.service.health()["engine"]["restarts"])

"""What the environment of a process says about the simulated machine.

`HAILO_SIM_VERSION` (one of `VERSIONS`), `HAILO_SIM_STATE` (folder that all processes of one test share),
`HAILO_APPLIANCE_SYSROOT` (where `dev` and `sys` are looked up), `HAILO_SIM_SPEED` (JSON, see `Speed`).
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

VERSIONS = ("5.1.1", "5.2.0", "5.3.0", "5.4.0")


@dataclass(frozen=True)
class Speed:
    """How long the chip takes, in seconds; a wait holds Python's global lock where the real binding does."""

    load_s: float = 0.0
    """Building a VLM."""
    prefill_s: float = 0.0
    """From `generate` to the first token."""
    token_s: float = 0.0
    """Each further token; the chip goes on whether they are read or not."""
    infer_s: float = 0.0
    """One inference of an InferModel."""
    busy_wait_s: float = 0.2
    """How long an exclusive VDevice waits for other users of the chip; 5 s on the real one."""
    linger_s: float = 0.0
    """How long the chip's server takes to notice that a program died without a word; up to 5 s."""
    give_up_s: float = 15.0
    """When a token that does not come is given up by the chip."""
    request_s: float = 10.0
    """How long a request to a chip that does not answer takes to fail."""
    configure_s: float = 45.0
    """The same for reading and configuring a network."""
    upload_s: float = 120.0
    """The same for a model that is sent to the chip."""
    queue_tokens: int = 1024
    """Tokens that the library keeps for a program which does not read them."""
    queue_s: float = 120.0
    """How long it waits for room there; then tokens are lost."""
    compute: bool = True
    """False answers with zeros at once, to measure what the host costs."""

    def limit_s(self, call: str) -> float:
        """How long libhailort waits for the reply to a call."""
        limits = {
            "VDevice.create_infer_model": self.configure_s,
            "InferModel.configure": self.configure_s,
            "VLM": self.upload_s,
        }
        return limits.get(call, self.request_s)


@cache
def version() -> str:
    """The HailoRT that is simulated."""
    chosen = os.environ.get("HAILO_SIM_VERSION", VERSIONS[-1])
    if chosen not in VERSIONS:
        raise RuntimeError(f"HAILO_SIM_VERSION must be one of {', '.join(VERSIONS)}, not {chosen!r}")
    return chosen


def is_old() -> bool:
    """True for 5.1.1."""
    return version() == VERSIONS[0]


def since(first: str) -> bool:
    """True for this version and later ones."""
    return VERSIONS.index(version()) >= VERSIONS.index(first)


@cache
def state_folder() -> Path:
    """The folder that stands for the chip and its driver."""
    named = os.environ.get("HAILO_SIM_STATE")
    if not named:
        raise RuntimeError("HAILO_SIM_STATE must name the folder of the simulated machine")
    folder = Path(named)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def sysroot() -> Path:
    """Where `dev` and `sys` of the simulated machine are."""
    return Path(os.environ.get("HAILO_APPLIANCE_SYSROOT", "/"))


@cache
def speed() -> Speed:
    """How fast the chip is."""
    return Speed(**json.loads(os.environ.get("HAILO_SIM_SPEED", "{}")))

"""Taking a node out of service: with its flag file there `/health/ready` says no; requests are answered.

Load balancers then send new requests elsewhere, and what is here ends in peace. The flag goes with a reboot.
"""

from __future__ import annotations

from pathlib import Path

from hailo_common.npu.nodes import sysroot

REASON = "the node is being drained: hailo-ctl undrain takes it back"


def flag() -> Path:
    """The file whose presence drains the node."""
    return sysroot() / "run/hailo/drain"


def drained() -> bool:
    """True while load balancers shall send nothing new."""
    return flag().exists()

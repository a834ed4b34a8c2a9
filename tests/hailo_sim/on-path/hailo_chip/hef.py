"""Stand-in HEF files: a first line, one line of JSON, and the ONNX graphs and other files behind it.

The JSON: `kind` ("infer" or "vlm"), `architecture`, `zoo`, `files` (name to [offset, size] in what follows),
`sha256` of what follows, and what the kind needs (see `hailo_chip.network` and `hailo_chip.chat`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hailo_chip.statuses import failed

MAGIC = b"HAILO-SIM-HEF 1\n"
_FITTING = ("hailo10h", "hailo15h", "hailo15m")


@dataclass(frozen=True)
class Hef:
    """A stand-in HEF in memory."""

    about: Mapping[str, Any]
    payload: bytes

    def file(self, name: str) -> bytes:
        """One of the files in it."""
        offset, size = self.about["files"][name]
        return self.payload[offset : offset + size]

    def newer_than(self, version: str) -> bool:
        """True when its compiler's release is a later one than this HailoRT, corrections aside."""
        made, have = (tuple(map(int, each.split(".")))[:2] for each in (self.about["zoo"], version))
        return made > have

    @property
    def fits(self) -> bool:
        """True when it was compiled for a chip of the Hailo-10H's family."""
        return self.about["architecture"] in _FITTING


def parse(data: bytes) -> Hef:
    """Read a HEF. Raises status 14 for one without a whole head, 92 for another kind, 91 for damage."""
    if len(data) < len(MAGIC):
        raise failed("FILE_OPERATION_FAILURE")
    if not data.startswith(MAGIC):
        raise failed("HEF_NOT_SUPPORTED")
    line, _, payload = data[len(MAGIC) :].partition(b"\n")
    try:
        about = json.loads(line)
        whole = hashlib.sha256(payload).hexdigest() == about["sha256"]
    except (ValueError, KeyError, TypeError):
        whole, about = False, {}
    if not whole:
        raise failed("HEF_FILE_CORRUPTED")
    return Hef(about, payload)


def read(path: str) -> Hef:
    """Read a HEF file. Raises status 13 when it cannot be opened, and as `parse`."""
    try:
        data = Path(path).read_bytes()
    except OSError:
        raise failed("OPEN_FILE_FAILURE") from None
    return parse(data)

"""What a HEF says of itself in its beginning, without HailoRT."""

from __future__ import annotations

import re
from pathlib import Path

HEAD_BYTES = 256 * 1024
"""Bytes from a HEF's start in which the release stands."""
_SDK = re.compile(rb"sdk[-_]version[^0-9]{1,8}([0-9]{1,4}\.[0-9]{1,4}\.[0-9]{1,4})")


def release_in(head: bytes) -> str:
    """The release (`5.2.0`) that a HEF was compiled with, from its first bytes; "" where it does not tell."""
    match = _SDK.search(head)
    return match[1].decode("ascii") if match else ""


def hef_release(path: Path) -> str:
    """The same of a file; "" also for one that cannot be read."""
    try:
        with path.open("rb") as file:
            return release_in(file.read(HEAD_BYTES))
    except OSError:
        return ""

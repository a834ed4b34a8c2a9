"""What a HEF says of itself in its beginning, without HailoRT."""

from __future__ import annotations

import re
from pathlib import Path

from hailo_common.npu.versions import version_key

HEAD_BYTES = 256 * 1024
"""Bytes from a HEF's start in which the release stands."""
_SDK = re.compile(rb"sdk[-_]version[^0-9]{1,8}([0-9]{1,4}\.[0-9]{1,4}\.[0-9]{1,4})")


def release_in(head: bytes) -> str:
    """The release (`5.2.0`) that a HEF was compiled with, from its first bytes; "" where it does not tell."""
    match = _SDK.search(head)
    return match[1].decode("ascii") if match else ""


def later_release(path: Path, than: str) -> str:
    """The release of a HEF that a library refuses: a later one, corrections aside. "" for any other file."""
    try:
        with path.open("rb") as file:
            made = release_in(file.read(HEAD_BYTES))
    except OSError:
        return ""
    return made if made and version_key(made)[:2] > version_key(than)[:2] else ""

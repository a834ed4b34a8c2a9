"""Writes stand-in HEF files; `hailo_chip.hef` reads them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MAGIC = b"HAILO-SIM-HEF 1\n"
ZOO = "5.1.1"
"""The oldest release of the model zoo, which every version of HailoRT takes."""


def write_hef(path: Path, about: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
    """`about` is the JSON without `files` and `sha256`; see `hailo_chip.hef`."""
    places, payload = {}, b""
    for name, data in files.items():
        places[name] = [len(payload), len(data)]
        payload += data
    stated = f"sdk-version: {about.get('zoo', ZOO)}"
    whole = {"sdk": stated, **about, "files": places, "sha256": hashlib.sha256(payload).hexdigest()}
    path.write_bytes(MAGIC + json.dumps(whole).encode() + b"\n" + payload)


def stream(
    name: str,
    direction: str,
    shape: tuple[int, int, int],
    limits: tuple[float, float],
    *,
    order: str = "NHWC",
    kind: str = "UINT16",
) -> dict[str, Any]:
    """A row of `streams`: (height, width, features), quantised to cover `limits`, of UINT8 or UINT16."""
    least, most = min(limits[0], 0.0), max(limits[1], 0.0)
    steps = {"UINT8": 255, "UINT16": 65535}[kind]
    scale = (most - least) / steps
    return {
        "name": name,
        "direction": direction,
        "shape": shape,
        "order": order,
        "type": kind,
        "zp": float(round(-least / scale)),
        "scale": scale,
        "limits": [least, most],
    }

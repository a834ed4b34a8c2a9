"""What a file without a stated checksum must look like before it is pinned: size, beginning, structure.

No proof: it tells an error page, a broken transfer and another release's file from the model. Formats:
`onnx.proto` (ONNX), `hef_internal.hpp` of HailoRT (HEF), ggml's `gguf.md` (GGUF).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from hailo_common.files import size_text
from hailo_common.models.http import TransferError
from hailo_common.models.manifest import ModelFile
from hailo_common.npu.hef import HEAD_BYTES, release_in
from hailo_common.npu.versions import version_key

MAX_UNKNOWN = 64_000_000
"""Bytes of a file of which nothing is known, at most: tokenizers and settings."""
_FACTOR = 2
"""How far from its rounded size a file may be."""
_HEF_VERSIONS = range(8)
_GGUF_VERSIONS = (2, 3)
_MAX_FIELDS = 4_000_000
_IR_VERSION, _GRAPH = 1, 7
_NODE, _OUTPUT = 1, 12
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def check_content(file: ModelFile, path: Path, hailort: str = "") -> str:
    """What the file says of itself, for the log; TransferError for one that cannot be what it should be.

    `hailort` is the release that a HEF must not be newer than.
    """
    size = path.stat().st_size
    check_size(file, size)
    with path.open("rb") as opened:
        head = opened.read(HEAD_BYTES)
        suffix = path_suffix(file)
        if (
            head[:512]
            .lstrip(b"\xef\xbb\xbf \t\r\n")[:64]
            .lower()
            .startswith((b"<!doctype", b"<html", b"<?xml"))
        ):
            raise TransferError("gave a web page", "never")
        if suffix == ".hef":
            return _hef(head, size, hailort)
        if suffix == ".onnx" and not _is_onnx(opened, size):
            raise TransferError("gave no ONNX file", "never")
    known = {
        ".npy": head.startswith(b"\x93NUMPY"),
        ".gguf": head.startswith(b"GGUF") and int.from_bytes(head[4:8], "little") in _GGUF_VERSIONS,
        ".json": suffix == ".json" and _is_json(path),
    }
    if not known.get(suffix, True):
        raise TransferError(f"gave no {suffix[1:].upper()} file", "never")
    return ""


def path_suffix(file: ModelFile) -> str:
    """The file's kind."""
    return Path(file.path).suffix.lower()


def check_size(file: ModelFile, size: int | None) -> None:
    """TransferError when the size that a place states cannot be this file's."""
    if size is None:
        return
    if file.size and size != file.size:
        raise TransferError(f"has a file of {size} bytes instead of {file.size}", "never")
    if size > max_bytes(file) or (file.about and size < file.about // _FACTOR):
        about = f"about {size_text(file.about)}" if file.about else f"at most {size_text(MAX_UNKNOWN)}"
        raise TransferError(f"has a file of {size_text(size)} instead of {about}", "never")


def max_bytes(file: ModelFile) -> int:
    """More than this cannot be the file."""
    if file.size:
        return file.size
    return file.about * _FACTOR if file.about else MAX_UNKNOWN


def _hef(head: bytes, size: int, hailort: str) -> str:
    version, proto = (int.from_bytes(head[at : at + 4], "big") for at in (4, 8))
    if len(head) < 12 or head[:4] != b"\x01HEF" or version not in _HEF_VERSIONS or not 0 < proto < size:
        raise TransferError("gave no HEF file", "never")
    release = release_in(head)
    if not release:
        return "HEF, which does not tell its release"
    if hailort and version_key(release) > version_key(hailort):
        raise TransferError(f"gave a HEF for HailoRT {release}, newer than {hailort}", "never")
    return f"HEF for HailoRT {release}"


def _is_json(path: Path) -> bool:
    try:
        return isinstance(json.loads(path.read_bytes()), dict | list)
    except (ValueError, RecursionError):
        return False


def _is_onnx(file: BinaryIO, size: int) -> bool:
    """Every field of the model and its graph lies within bounds; the graph has a node and an output."""
    try:
        model = {number: span for number, span in _fields(file, 0, size) if number in (_IR_VERSION, _GRAPH)}
        if set(model) != {_IR_VERSION, _GRAPH}:
            return False
        inside = {number for number, _ in _fields(file, *model[_GRAPH])}
    except (ValueError, EOFError):
        return False
    return {_NODE, _OUTPUT} <= inside


def _fields(file: BinaryIO, start: int, end: int) -> Iterator[tuple[int, tuple[int, int]]]:
    """The fields of a protobuf message between two offsets, each with its own; ValueError if it is none."""
    position = start
    for _ in range(_MAX_FIELDS):
        if position == end:
            return
        file.seek(position, os.SEEK_SET)
        tag = _varint(file)
        wire = tag & 7
        length = _varint(file) if wire in (_VARINT, _BYTES) else {_FIXED64: 8, _FIXED32: 4}.get(wire, -1)
        begin = file.tell()
        position = begin + (0 if wire == _VARINT else length)
        if length < 0 or position > end or not tag >> 3:
            raise ValueError
        yield tag >> 3, (begin, position)
    raise ValueError


def _varint(file: BinaryIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise EOFError
        value |= (byte[0] & 127) << shift
        if byte[0] < 128:
            return value
    raise ValueError

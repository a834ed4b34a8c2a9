"""Is this the file, as far as one can tell without a checksum? By its size before, its first bytes after.

Nothing here is proof; it tells an error page from a model.
"""

from __future__ import annotations

from pathlib import Path

from hailo_common.files import size_text
from hailo_common.models.http import TransferError
from hailo_common.models.manifest import ModelFile

_SMALL = 64_000_000
"""Most bytes of a file of which nothing is known: tokenizers and settings."""
_FACTOR = 2
"""How far from its rounded size a file may be."""
_BEGINNINGS = {
    ".hef": (b"\x01HEF",),
    ".npy": (b"\x93NUMPY",),
    ".json": (b"{", b"["),
    # A protobuf whose first field is the version of the format.
    ".onnx": (b"\x08",),
}


def most_bytes(file: ModelFile) -> int:
    """More than this cannot be the file."""
    if file.size:
        return file.size
    return file.about * _FACTOR if file.about else _SMALL


def check_size(file: ModelFile, size: int | None) -> None:
    """TransferError when the size that a place tells cannot be this file's."""
    if size is None:
        return
    if file.size and size != file.size:
        raise TransferError(f"has a file of {size} bytes instead of {file.size}", "never")
    if size > most_bytes(file) or (file.about and size < file.about // _FACTOR):
        about = f"about {size_text(file.about)}" if file.about else f"at most {size_text(_SMALL)}"
        raise TransferError(f"has a file of {size_text(size)} instead of {about}", "never")


def check_content(file: ModelFile, path: Path) -> None:
    """TransferError for a file without checksum that does not begin as its kind does, or is far too small."""
    check_size(file, path.stat().st_size)
    with path.open("rb") as opened:
        head = opened.read(512).removeprefix(b"\xef\xbb\xbf").lstrip()
    beginnings = _BEGINNINGS.get(path_suffix(file))
    if beginnings and not head.startswith(beginnings):
        page = head[:64].lower().startswith((b"<!doctype", b"<html", b"<?xml"))
        raise TransferError(
            "gave a web page" if page else f"gave no {path_suffix(file)[1:].upper()} file", "never"
        )


def path_suffix(file: ModelFile) -> str:
    """`.hef`, `.onnx`, ..."""
    return Path(file.path).suffix.lower()

"""What a model folder may reach: files of its own, whatever its links, names and sizes say.

A folder comes from a stranger, and libraries open what it names. Links stay inside it; those of a snapshot in
Hugging Face's cache may lead to the files that the cache keeps beside its snapshots.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from hailo_common.errors import ModelError, ModelMissing

MIB = 1 << 20
_DEEPEST = 3
_MOST_FILES = 10_000
_MOST_BYTES = {"tokenizer.json": 64 * MIB}
_TEXT_BYTES = 4 * MIB


def files_of(folder: Path) -> Iterator[Path]:
    """Every file that is not hidden, down to three levels, sorted; raises ModelError for what is no file.

    A link that leaves the folder, a device, a pipe or a socket is refused, and more files than any model has.
    """
    homes = _homes(folder)
    for number, path in enumerate(_entries(folder, _DEEPEST)):
        if number >= _MOST_FILES:
            raise ModelError(f"{folder}: expected at most {_MOST_FILES} files in a model folder")
        if _checked(path, homes):
            yield path


def within(folder: Path, path: Path) -> Path:
    """The file behind `path`, without links; raises ModelError when it is none or not the folder's."""
    if not _checked(path, _homes(folder)):
        raise ModelError(f"{path}: expected a regular file, not a folder")
    return Path(os.path.realpath(path))


def read_text(folder: Path, name: str) -> str:
    """The text of a file of the folder.

    Raises ModelMissing when it is absent, ModelError when it is none of the folder's, no UTF-8 or too long.
    """
    path = folder / name
    if not os.path.lexists(path):
        raise ModelMissing(f"{path}: file is missing")
    limit = _MOST_BYTES.get(name, _TEXT_BYTES)
    with within(folder, path).open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ModelError(f"{path}: expected at most {limit // MIB} MiB of text")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise ModelError(f"{path}: expected UTF-8 text") from None


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """A JSON object without NaN and infinity; raises what `read_text` does, and ModelError."""
    try:
        value = json.loads(read_text(folder, name), parse_constant=_no_constant, parse_float=_finite)
    except (ValueError, RecursionError):
        raise ModelError(f"{folder / name}: expected JSON, and numbers that are finite") from None
    if not isinstance(value, dict):
        raise ModelError(f"{folder / name}: expected a JSON object")
    return value


def is_label(text: Any, longest: int) -> bool:
    """Whether this is a text that may stand in logs, answers and on terminals."""
    return isinstance(text, str) and 0 < len(text) <= longest and text.isprintable()


def _entries(folder: Path, depth: int) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        yield path
        if depth and path.is_dir() and not path.is_symlink():
            yield from _entries(path, depth - 1)


def _homes(folder: Path) -> tuple[str, ...]:
    """The folders that a file may really lie in."""
    real = Path(os.path.realpath(folder))
    hub = (real.parent.parent / "blobs",) if real.parent.name == "snapshots" else ()
    return tuple(f"{home}{os.sep}" for home in (real, *hub))


def _checked(path: Path, homes: tuple[str, ...]) -> bool:
    """True for a file, False for a folder; ModelError for all else."""
    try:
        real = os.path.realpath(path, strict=True)
        mode = os.lstat(real).st_mode
    except (OSError, ValueError):
        raise ModelError(f"{path}: expected a regular file; this link leads nowhere") from None
    if not real.startswith(homes):
        raise ModelError(
            f"{path}: expected a regular file of this folder; copy the file itself into the folder"
        )
    if stat.S_ISDIR(mode) and not path.is_symlink():
        return False
    if not stat.S_ISREG(mode):
        raise ModelError(f"{path}: expected a regular file; copy the file itself into the folder")
    return True


def _no_constant(_name: str) -> NoReturn:
    raise ValueError


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError
    return value

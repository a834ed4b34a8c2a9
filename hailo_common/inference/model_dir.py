"""A model folder in the Hugging Face layout: `onnx/*.onnx` and JSON files, and what these say of the model.

Reads text and finds files; opens no model. Links to files are followed, because a snapshot in Hugging Face's
cache consists of them; devices, pipes and broken links are refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hailo_common.errors import EngineFailed, ModelError, ModelMissing, Unavailable, library_reason

_PART = 1 << 20
_DEEPEST = 3


def fingerprint(folder: Path) -> str:
    """Sixteen hexadecimal digits of names and contents of all files that are not hidden."""
    digest = hashlib.sha256()
    for path in sorted(_files(folder, _DEEPEST), key=lambda path: path.relative_to(folder).as_posix()):
        size = path.stat().st_size
        digest.update(f"{path.relative_to(folder).as_posix()}\n{size}\n".encode())
        with path.open("rb") as file:
            digest.update(file.read(_PART))
            if size > _PART:
                file.seek(max(size - _PART, _PART))
                digest.update(file.read(_PART))
    return digest.hexdigest()[:16]


def _files(folder: Path, depth: int) -> list[Path]:
    found = []
    for entry in folder.iterdir():
        if entry.name.startswith("."):
            continue
        if entry.is_dir() and depth:
            found += _files(entry, depth - 1)
        elif entry.is_file():
            found.append(entry)
    return found


VARIANTS = ("", "fp16", "int8", "quantized", "q4")


class ModelDir:
    """One model's files; `variant` is the suffix preferred among `onnx/NAME_SUFFIX.onnx`."""

    def __init__(self, path: Path, variant: str = "") -> None:
        if variant not in VARIANTS:
            raise ModelError(
                f"variant must be one of {', '.join(repr(v) for v in VARIANTS)}, not {variant!r}"
            )
        self.path = path
        self._variant = variant

    def check(self) -> None:
        """Raise ModelMissing when the folder is not there yet, ModelError when it holds links or oddities."""
        if not self.path.is_dir():
            raise ModelMissing(f"{self.path}: no such model folder")
        for place in (self.path, self.path / "onnx"):
            for entry in place.iterdir() if place.is_dir() else ():
                if not (entry.is_file() or entry.is_dir()):
                    raise ModelError(
                        f"{entry}: expected a regular file; copy the file itself into the folder"
                    )

    def text(self, name: str) -> str:
        """The text of a file; raises ModelMissing when it is absent, ModelError when it is not UTF-8."""
        try:
            return (self.path / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            raise ModelMissing(f"{self.path / name}: file is missing") from None
        except UnicodeDecodeError:
            raise ModelError(f"{self.path / name}: expected UTF-8 text") from None

    def json(self, name: str) -> dict[str, Any]:
        """A JSON object; raises ModelMissing or ModelError naming the file."""
        try:
            value = json.loads(self.text(name))
        except (ValueError, RecursionError):
            raise ModelError(f"{self.path / name}: expected JSON") from None
        if not isinstance(value, dict):
            raise ModelError(f"{self.path / name}: expected a JSON object")
        return value

    def optional_json(self, name: str) -> dict[str, Any]:
        """The same, or an empty dict when the file is absent."""
        return self.json(name) if (self.path / name).exists() else {}

    def find_onnx(self, name: str) -> Path | None:
        """The file of part `name`: the preferred variant, else the plain file, else any known suffix."""
        for suffix in dict.fromkeys((self._variant, *VARIANTS)):
            for place in (self.path / "onnx", self.path):
                candidate = place / (f"{name}_{suffix}.onnx" if suffix else f"{name}.onnx")
                if candidate.exists():
                    return candidate
        return None

    def onnx(self, name: str) -> Path:
        """The same, but raises ModelMissing when no file of that part is there."""
        found = self.find_onnx(name)
        if found is None:
            raise ModelMissing(f"{self.path / 'onnx' / name}.onnx: file is missing")
        return found


def integer_in(values: Mapping[str, Any], key: str, source: str, default: int | None = None) -> int:
    """`values[key]` as an int >= 0; raises ModelError naming `source` when it is absent or no such number."""
    value = values.get(key)
    if value is None and default is not None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ModelError(f"{source}: expected an integer for {key!r}")
    return value


def section(values: Mapping[str, Any], key: str, source: str) -> dict[str, Any]:
    """`values[key]` as a JSON object; raises ModelError naming `source` otherwise."""
    value = values.get(key)
    if not isinstance(value, dict):
        raise ModelError(f"{source}: expected an object for {key!r}")
    return value


_CARD = "model_card.json"


def describe(folder: ModelDir) -> dict[str, Any]:
    """`model`, `description`, `demo` (from `model_card.json`, else config and folder name), `fingerprint`."""
    card = folder.optional_json(_CARD)
    name = card.get("name") or folder.optional_json("config.json").get("_name_or_path")
    return {
        "model": str(name or folder.path.resolve().name),
        "description": str(card.get("description", "")),
        "demo": bool(card.get("demo", False)),
        "fingerprint": fingerprint(folder.path),
    }


@contextmanager
def naming_stage(stage: str) -> Iterator[None]:
    """Turn a failure of what runs inside into a ModelError that names the stage."""
    try:
        yield
    except (MemoryError, ModelError, Unavailable):
        raise
    except EngineFailed as error:
        raise ModelError(f"{stage}: expected finite numbers from a trial run") from error
    except Exception as error:
        raise ModelError(
            f"{stage}: expected to run on what the stage before it makes, and failed: {library_reason(error)}"
        ) from error

"""A model folder in the Hugging Face layout: `onnx/*.onnx` and JSON files, and what these say of the model.

Reads text and finds files; opens no model. What a folder may reach is `folder_trust`'s.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hailo_common.errors import EngineFailed, ModelError, ModelMissing, Unavailable, library_reason
from hailo_common.inference.folder_trust import files_of, is_label, read_json, read_text

_PART = 1 << 20
_TOO_LARGE = 1 << 31


def fingerprint(folder: Path) -> str:
    """Sixteen hexadecimal digits of names and contents of all files that are not hidden."""
    digest = hashlib.sha256()
    for path in sorted(files_of(folder), key=lambda path: path.relative_to(folder).as_posix()):
        size = path.stat().st_size
        digest.update(f"{path.relative_to(folder).as_posix()}\n{size}\n".encode())
        with path.open("rb") as file:
            digest.update(file.read(_PART))
            if size > _PART:
                file.seek(max(size - _PART, _PART))
                digest.update(file.read(_PART))
    return digest.hexdigest()[:16]


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
        """Raise ModelMissing when the folder is not there yet, ModelError when it reaches beyond itself."""
        if not self.path.is_dir():
            raise ModelMissing(f"{self.path}: no such model folder")
        for _ in files_of(self.path):
            pass

    def text(self, name: str) -> str:
        """The text of a file; see `folder_trust.read_text`."""
        return read_text(self.path, name)

    def json(self, name: str) -> dict[str, Any]:
        """A JSON object; see `folder_trust.read_json`."""
        return read_json(self.path, name)

    def optional_json(self, name: str) -> dict[str, Any]:
        """The same, or an empty dict when the file is absent."""
        return self.json(name) if (self.path / name).exists() else {}

    def gguf(self) -> list[Path]:
        """The GGUF files, in the order of their names; empty where there are none."""
        return sorted(path for path in self.path.glob("*.gguf") if not path.name.startswith("."))

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
    """`values[key]` as an int from 0 to 2^31; raises ModelError naming `source` when it is absent or none."""
    value = values.get(key)
    if value is None and default is not None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _TOO_LARGE:
        raise ModelError(f"{source}: expected an integer from 0 to {_TOO_LARGE - 1} for {key!r}")
    return value


def section(values: Mapping[str, Any], key: str, source: str) -> dict[str, Any]:
    """`values[key]` as a JSON object; raises ModelError naming `source` otherwise."""
    value = values.get(key)
    if not isinstance(value, dict):
        raise ModelError(f"{source}: expected an object for {key!r}")
    return value


_CARD = "model_card.json"
_NAME, _TEXT = 128, 1000
"""Longest name and description, in characters."""


def describe(folder: ModelDir) -> dict[str, Any]:
    """`model`, `description`, `demo` (from `model_card.json`, else config and folder name), `fingerprint`."""
    card = folder.optional_json(_CARD)
    listed = folder.optional_json("config.json").get("_name_or_path")
    name = card.get("name", "")
    description = card.get("description", "")
    if not (name == "" or is_label(name, _NAME)) or not (description == "" or is_label(description, _TEXT)):
        raise ModelError(
            f"{folder.path / _CARD}: expected a name and a description of at most {_NAME} and {_TEXT}"
            " printable characters"
        )
    own = folder.path.resolve().name
    return {
        "model": name
        or (listed if is_label(listed, _NAME) else own.encode("ascii", "replace").decode()[:_NAME]),
        "description": description,
        "demo": card.get("demo") is True,
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

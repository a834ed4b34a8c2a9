"""A model's image processor, as far as both services read it: rescaling, mean and standard deviation.

Values of a `generation_config.json` that every kind of model has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hailo_common.errors import ModelError
from hailo_common.inference.model_dir import ModelDir

PROCESSOR_FILE = "preprocessor_config.json"
BICUBIC = 3
"""Pillow's number, and what both models resample with when the file names nothing."""
_NEWER_FILE = "processor_config.json"  # transformers 5 nests the image processor's settings here


@dataclass(frozen=True)
class Pixels:
    """Each channel of an image becomes `(x * rescale - mean) / std`."""

    rescale: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def read_processor(folder: ModelDir) -> tuple[dict[str, Any], str]:
    """The image processor's settings and the file they stand in; raises ModelMissing or ModelError."""
    if not (folder.path / PROCESSOR_FILE).exists() and (folder.path / _NEWER_FILE).exists():
        nested = folder.json(_NEWER_FILE).get("image_processor")
        if isinstance(nested, dict):
            return nested, _NEWER_FILE
    return folder.json(PROCESSOR_FILE), PROCESSOR_FILE


def read_pixels(values: Mapping[str, Any], source: str) -> Pixels:
    """Rescaling and normalising as the settings say; raises ModelError naming `source`."""
    rescale = values.get("rescale_factor", 1 / 255) if values.get("do_rescale", True) else 1.0
    normalise = bool(values.get("do_normalize", True))
    mean = _channels(values, "image_mean", source) if normalise else (0.0, 0.0, 0.0)
    std = _channels(values, "image_std", source) if normalise else (1.0, 1.0, 1.0)
    if not isinstance(rescale, (int, float)) or not all(std):
        raise ModelError(f"{source}: expected numbers for 'rescale_factor' and non-zero ones for 'image_std'")
    return Pixels(float(rescale), mean, std)


def _channels(values: Mapping[str, Any], key: str, source: str) -> tuple[float, float, float]:
    listed = values.get(key)
    if (
        not isinstance(listed, list)
        or len(listed) != 3
        or not all(isinstance(item, (int, float)) and not isinstance(item, bool) for item in listed)
    ):
        raise ModelError(f"{source}: expected three numbers for {key!r}")
    return float(listed[0]), float(listed[1]), float(listed[2])


def token_ids(value: Any, key: str, source: str) -> tuple[int, ...]:
    """A token id or a list of them as a tuple, empty for None; raises ModelError naming `source`."""
    listed = [] if value is None else value if isinstance(value, list) else [value]
    if not all(isinstance(item, int) and not isinstance(item, bool) and item >= 0 for item in listed):
        raise ModelError(f"{source}: expected token ids for {key!r}")
    return tuple(listed)


def repetition_penalty(values: Mapping[str, Any], source: str) -> float:
    """The model's own `repetition_penalty`, 1 (none) when absent; raises ModelError naming `source`."""
    value = values.get("repetition_penalty")
    if value is None:
        return 1.0
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not value > 0:
        raise ModelError(f"{source}: expected a number above 0 for 'repetition_penalty'")
    return float(value)

"""The keys of several models: names, folders, durations, and what cannot be together."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from hailo_common.config.load import load_files
from hailo_common.config.served import ServedKey, keep_alive_s
from hailo_common.errors import ConfigError
from hailo_vision.config import VisionSettings


def read(tmp_path: Path, text: str) -> VisionSettings:
    """The settings of a file with this text."""
    file = tmp_path / "hailo-vision.yaml"
    file.write_text(text)
    return load_files(VisionSettings, [file])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("90", 90),
        ("1.5", 1.5),
        ("10m", 600),
        ("24h", 86400),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("250ms", 0.25),
        ("0s", 0),
        ("-1", math.inf),
        ("-1m", math.inf),
    ],
)
def test_a_keep_alive_is_written_as_ollamas(text: str, seconds: float) -> None:
    assert keep_alive_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "m", "10 m", "ten", "1d", "--1", "1e3", "10m5", "inf", "9" * 40])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        keep_alive_s(text)


def test_one_model_is_no_list(tmp_path: Path) -> None:
    assert read(tmp_path, "model: demo\n").served() == ()


def test_entries(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        "keep_alive_s: 300\nmodel_keep_alive: [night=-1, demo=10m]\n"
        "models: [day=qwen2-vl-2b-instruct-onnx, night=/srv/models/a=b, /srv/models/dusk/, demo, auto]\n",
    )
    assert settings.served() == (
        ServedKey("day", "qwen2-vl-2b-instruct-onnx", 300),
        ServedKey("night", "/srv/models/a=b", math.inf),
        ServedKey("dusk", "/srv/models/dusk/", 300),
        ServedKey("demo", "demo", 600),
        ServedKey("auto", "auto", 300),
    )
    # Without keep_alive_s a model stays.
    assert read(tmp_path, "models: [demo]\n").served() == (ServedKey("demo", "demo", math.inf),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("models: ['day=']\n", ":1: models: .* is not a list of at most 64 entries: auto, demo"),
        ("models: ['=demo']\n", "models"),
        ("models: ['a b=demo']\n", "models"),
        ("models: ['day=Some Model']\n", "models"),
        ("models: [demo]\nmodel_keep_alive: [demo]\n", ":2: model_keep_alive: .* NAME=DURATION"),
        ("models: [demo]\nmodel_keep_alive: ['demo=soon']\n", "model_keep_alive"),
        ("models: [a=demo, A=auto]\n", ":1: models: two models have one name"),
        (
            "models: [demo]\nmodel_keep_alive: ['day=10m']\n",
            ":2: model_keep_alive: names a model that is not",
        ),
        ("models: [demo]\nmodel_dir: /srv/m\n", ":2: model_dir, .*:1: models: one folder and several models"),
        ("models_memory_mb: -1\n", "models_memory_mb"),
    ],
)
def test_what_cannot_be_is_told(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, text)

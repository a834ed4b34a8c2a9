"""Keys never show: not in messages, dumps, representations, nor in a file that everybody may read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hailo_common.config.command_line import dump
from hailo_common.config.load import load_files
from hailo_common.config.render import render
from hailo_common.errors import ConfigError
from hailo_vision.config import VisionSettings

SECRET = "a-very-secret-key"


def test_a_dump_and_a_representation_hide_them() -> None:
    settings = VisionSettings(api_keys=(SECRET, SECRET))
    assert SECRET not in dump(settings)
    assert "api_keys: [***, ***]" in dump(settings)
    assert SECRET not in repr(settings)


def test_an_error_does_not_quote_them(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(f"api_keys: ['{SECRET} with spaces']\n")
    with pytest.raises(ConfigError) as caught:
        load_files(VisionSettings, [file])
    assert "api_keys" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_the_rendered_file_is_closed_to_others_even_where_it_was_open(tmp_path: Path) -> None:
    path = tmp_path / "etc" / "service.json"
    assert render(VisionSettings(), path)
    assert path.stat().st_mode & 0o777 == 0o644
    assert render(VisionSettings(api_keys=(SECRET,)), path)
    assert path.stat().st_mode & 0o007 == 0
    assert load_files(VisionSettings, [path]).api_keys == (SECRET,)
    fresh = tmp_path / "fresh" / "service.json"
    assert render(VisionSettings(api_keys=(SECRET,)), fresh)
    assert fresh.stat().st_mode & 0o777 == 0o640
    fresh.chmod(0o644)
    assert not render(VisionSettings(api_keys=(SECRET,)), fresh)
    assert fresh.stat().st_mode & 0o007 == 0


def test_the_engine_is_told_what_it_needs_and_no_secret() -> None:
    settings = VisionSettings(api_keys=(SECRET,), threads=3, max_images=2)
    options = json.loads(json.dumps({**settings.engine_options(), "model_dir": "/m"}))
    assert not {key.name for key in VisionSettings.table() if key.secret} & set(options)
    assert VisionSettings.from_engine_options(options) == VisionSettings(threads=3, max_images=2)
    assert VisionSettings.from_engine_options({}) == VisionSettings()


@pytest.mark.parametrize(
    ("key", "value", "good"),
    [
        ("cors_origins", "['https://chat.example']", True),
        ("cors_origins", "['http://192.168.1.5:3000', 'http://[::1]:8080', '*']", True),
        ("cors_origins", "['https://chat.example/']", False),
        ("cors_origins", "['chat.example']", False),
        ("api_keys", "['12345678']", True),
        ("api_keys", "['1234567']", False),
        ("api_key_file", "/etc/hailo/keys", True),
        ("api_key_file", "keys", False),
        ("model_aliases", "['Qwen/Qwen2-VL-2B-Instruct', 'gpt-4o']", True),
        ("model_aliases", "['two words']", False),
        ("context_policy", "drop_oldest", True),
        ("context_policy", "drop", False),
    ],
)
def test_the_values_of_the_new_keys(tmp_path: Path, key: str, value: str, good: bool) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(f"{key}: {value}\n")
    if good:
        load_files(VisionSettings, [file])
    else:
        with pytest.raises(ConfigError, match=key):
            load_files(VisionSettings, [file])

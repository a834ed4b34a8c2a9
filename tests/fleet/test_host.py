"""What a machine says of itself, and what tells models apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from hailo_common.host import temperature_c, throttling
from hailo_common.inference.model_dir import fingerprint


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file system of a machine that has nothing yet."""
    monkeypatch.setenv("HAILO_APPLIANCE_SYSROOT", str(tmp_path))
    return tmp_path


def _file(machine: Path, path: str, text: str) -> None:
    (machine / path).parent.mkdir(parents=True, exist_ok=True)
    (machine / path).write_text(text)


def test_a_machine_without_sensors_says_nothing(machine: Path) -> None:
    assert temperature_c() is None
    assert throttling() == {}


def test_the_hottest_zone_counts(machine: Path) -> None:
    for zone, text in enumerate(("48312\n", "61000\n", "broken\n", "-273000\n")):
        _file(machine, f"sys/class/thermal/thermal_zone{zone}/temp", text)
    assert temperature_c() == 61.0


@pytest.mark.parametrize(
    "path",
    [
        "sys/devices/platform/soc/soc:firmware/get_throttled",
        "sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled",
    ],
)
def test_only_what_is_now_counts_as_throttling(machine: Path, path: str) -> None:
    _file(machine, path, "50005\n")
    now = {"under_voltage": True, "frequency_capped": False, "throttled": True, "temperature_limit": False}
    assert throttling() == now
    _file(machine, path, "50000\n")
    assert not any(throttling().values())


def test_a_fingerprint_is_of_names_and_contents(tmp_path: Path) -> None:
    for name in ("a", "b"):
        _file(tmp_path, f"{name}/onnx/encoder.onnx", "x" * 3_000_000)
        _file(tmp_path, f"{name}/config.json", "{}")
    assert fingerprint(tmp_path / "a") == fingerprint(tmp_path / "b")
    _file(tmp_path, "b/.verified.json", "notes")
    assert fingerprint(tmp_path / "a") == fingerprint(tmp_path / "b")
    _file(tmp_path, "b/onnx/encoder.onnx", "x" * 2_999_999 + "y")
    assert fingerprint(tmp_path / "a") != fingerprint(tmp_path / "b")
    (tmp_path / "a/config.json").rename(tmp_path / "a/other.json")
    assert len({fingerprint(tmp_path / "a"), fingerprint(tmp_path / "b")}) == 2

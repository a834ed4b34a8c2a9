"""Drop-ins say what the YAML says, in systemd's words, and are written only when they differ."""

from __future__ import annotations

from pathlib import Path

import pytest

from hailo_common.config.render import DROPIN, dropins, write_dropins
from hailo_common.config.schema import is_host
from hailo_common.errors import ConfigError
from hailo_common.models.settings import FetchSettings as Fetch
from hailo_vision.config import VisionSettings as Vision
from tests.hailo_common.config.conftest import SERVICE, Toy


@pytest.mark.parametrize(
    ("host", "streams"),
    [
        ("127.0.0.1", ["127.0.0.1:80"]),
        ("0.0.0.0", ["0.0.0.0:80"]),
        ("::", ["[::]:80"]),
        ("fe80::1%eth0", ["[fe80::1]:80%%eth0"]),
        ("localhost", ["127.0.0.1:80", "[::1]:80"]),
    ],
)
def test_addresses(host: str, streams: list[str]) -> None:
    lines = dropins(SERVICE, Toy(host=host, port=80))["hailo-toy.socket"].splitlines()
    assert lines[1:] == ["[Socket]", "ListenStream=", *(f"ListenStream={stream}" for stream in streams)]


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    limited = dropins(SERVICE, Toy(memory_max_mb=4096, cpu_quota_percent=80, tasks_max=50))
    assert limited["hailo-toy.service"].splitlines()[1:] == [
        "[Service]",
        "MemoryMax=4096M",
        "CPUQuota=320%",
        "TasksMax=50",
    ]
    free = dropins(SERVICE, Toy(memory_max_mb=0, cpu_quota_percent=0))["hailo-toy.service"].splitlines()
    assert free[1:] == ["[Service]", "MemoryMax=infinity", "CPUQuota=", "TasksMax=96"]


def test_each_of_several_models_may_have_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    three = dropins("hailo-vision", Vision(models=("demo", "a=/srv/a", "b=/srv/b")))["hailo-vision.service"]
    assert "TasksMax=160" in three.splitlines()


def test_the_fetcher_has_a_timer() -> None:
    [(unit, text)] = dropins("hailo-fetch", Fetch(spread_s=60)).items()
    assert unit == "hailo-fetch.timer"
    assert text.splitlines()[1:] == ["[Timer]", "RandomizedDelaySec=60s"]


def test_a_name_without_address_is_an_error_that_names_the_key() -> None:
    with pytest.raises(ConfigError, match=r"default: host: 'nothing\.invalid' has no address now"):
        dropins(SERVICE, Toy(host="nothing.invalid"))


def test_written_only_when_different(tmp_path: Path) -> None:
    contents = {"a.socket": "1", "a.service": "2"}
    paths = [tmp_path / "a.socket.d" / DROPIN, tmp_path / "a.service.d" / DROPIN]
    assert write_dropins(contents, tmp_path) == paths
    assert write_dropins(contents, tmp_path) == []
    assert write_dropins({**contents, "a.service": "3"}, tmp_path) == paths[1:]
    paths[0].write_bytes(b"\xff\0 after a power cut")
    assert write_dropins({**contents, "a.service": "3"}, tmp_path) == paths[:1]
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be written: Not a directory"):
        write_dropins(contents, tmp_path / "file")


@pytest.mark.parametrize(
    "host",
    [
        "fe80::1%",
        "fe80::1%a b",
        "fe80::1%a\nExecStart=/bin/sh",
        "fe80::1%%n",
        "127.0.0.1%eth0",
        "a%b",
        "fe80::1%" + "x" * 16,
    ],
)
def test_nothing_else_lands_in_a_unit(host: str) -> None:
    """Threat H2: an interface's name was any text, a line of its own for systemd among them."""
    assert not is_host(host)
    assert is_host("fe80::1%wlan0")

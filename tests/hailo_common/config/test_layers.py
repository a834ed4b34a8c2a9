"""Layers, sources and the values that are accepted."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from hailo_common.config.common_keys import settings_of
from hailo_common.config.load import load
from hailo_common.config.paths import Paths
from hailo_common.config.schema import shown
from hailo_common.errors import ConfigError
from hailo_florence import config as florence
from tests.hailo_common.config.conftest import SERVICE, Machine, Toy


def test_without_files_everything_is_default(machine: Machine) -> None:
    settings = load(Toy, SERVICE, machine.places)
    assert settings == Toy()
    assert settings.source("port") == "default"


def test_later_layers_win_and_are_named(machine: Machine) -> None:
    machine.write(machine.package, "low: 0\nhigh: 1\nport: 1\nthreads: 1\n")
    machine.write(machine.admin, "# note\nhigh: 2\nport: 2\nthreads: 2\n")
    machine.write(machine.dropins / "20.yaml", "port: 4\n")
    machine.write(machine.dropins / "10.yaml", "threads: 3\nport: 3\n")
    machine.write(machine.dropins / ".hidden.yaml", "port: 5\n")
    machine.write(machine.dropins / "30.yaml.dpkg-old", "port: 6\n")
    settings = load(Toy, SERVICE, machine.places)
    assert (settings.low, settings.high, settings.threads, settings.port) == (0, 2, 3, 4)
    assert settings.source("low") == f"{machine.package}:1"
    assert settings.source("high") == f"{machine.admin}:2"
    assert settings.source("port") == f"{machine.dropins / '20.yaml'}:1"


@pytest.mark.parametrize("content", ["", "\n", "# nothing\n", "---\n", "---\n...\n", "\ufeff", "{}"])
def test_empty_files_are_fine(machine: Machine, content: str) -> None:
    machine.write(machine.admin, content)
    assert load(Toy, SERVICE, machine.places) == Toy()


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("port: 11438", "port", 11438),
        ("port: '11438'", "port", 11438),
        ("port: 1_000", "port", 1000),
        ("load_timeout_s: 90", "load_timeout_s", 90.0),
        ("load_timeout_s: 1.25", "load_timeout_s", 1.25),
        ("docs: yes", "docs", True),
        ("docs: Off", "docs", False),
        ("backend: CPU", "backend", "cpu"),
        ("host: '::'", "host", "::"),
        ("host: fe80::1%eth0", "host", "fe80::1%eth0"),
        ("host: raspberrypi.local", "host", "raspberrypi.local"),
        ("model_dir: /srv/models für alle", "model_dir", "/srv/models für alle"),
        ("model_dir: ''", "model_dir", ""),
        ("allowed_hosts: [pi.local, 192.0.2.7]", "allowed_hosts", ("pi.local", "192.0.2.7")),
        ("allowed_hosts:\n- pi\n- cam", "allowed_hosts", ("pi", "cam")),
        ("{port: 80, low: 2}", "low", 2),
    ],
)
def test_accepted(machine: Machine, line: str, name: str, value: object) -> None:
    machine.write(machine.admin, line)
    found = getattr(load(Toy, SERVICE, machine.places), name)
    assert found == value
    assert type(found) is type(value)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Toy().port = 1  # type: ignore[misc]


@pytest.mark.parametrize("settings", [Toy, florence.FlorenceSettings])
def test_defaults_obey_their_own_rules(settings: type[Toy]) -> None:
    for key in settings.table():
        raw = key.default if isinstance(key.default, tuple) else shown(key.default).strip('"')
        assert key.convert(raw) == key.default
        assert key.help
        assert "\n" not in key.help
        assert not key.help.endswith(".")
    assert not list(settings().conflicts())


def test_florence() -> None:
    settings = florence.FlorenceSettings()
    assert (settings.port, settings.max_length_limit, settings.default_max_length) == (11438, 200, 100)
    assert settings_of(florence.SERVICE) is florence.FlorenceSettings
    assert florence.FlorenceSettings.table() == florence.KEYS


@pytest.mark.parametrize("name", ["hailo-nothing", "os", "hailo-toy.evil", "../x", ""])
def test_unknown_services(name: str) -> None:
    with pytest.raises(ConfigError, match="is not a service"):
        settings_of(name)


def test_places_follow_xdg() -> None:
    places = Paths(environ={"XDG_CONFIG_HOME": "/c", "XDG_DATA_HOME": "relative/ignored"})
    assert places.rendered("hailo-x") == Path("/c/hailo-x/hailo-x.json")
    assert places.models("hailo-x") == Path("/var/lib/hailo-x/models")
    assert places.models("hailo-x", "/m") == Path("/m")

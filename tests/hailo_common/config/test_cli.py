"""The command line built from the table."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hailo_common import __version__
from hailo_common.config.command_line import CommandLine, parse_command_line
from hailo_common.config.load import load_files
from hailo_common.config.render import render
from tests.hailo_common.config.conftest import SERVICE, Machine, Toy


def parse(machine: Machine, *argv: str) -> CommandLine[Toy]:
    return parse_command_line(SERVICE, Toy, argv, machine.places)


def status_of(machine: Machine, *argv: str) -> int:
    with pytest.raises(SystemExit) as stop:
        parse(machine, *argv)
    assert isinstance(stop.value.code, int)
    return stop.value.code


def test_demo_needs_no_configuration(machine: Machine) -> None:
    started = parse(machine, "--demo")
    assert started.demo == "demo"
    assert started.settings == Toy()
    assert parse(machine, "--demo", "shapes").demo == "shapes"
    assert status_of(machine, "--demo", "circles") == 2


def test_options_override_and_are_named_as_the_source(machine: Machine) -> None:
    render(Toy(port=80, host="::1"), machine.json)
    options = ["--port", "81", "--backend", "cpu", "--docs", "--log-level", "DEBUG", "--model", "models"]
    settings = parse(machine, *options).settings
    assert (settings.port, settings.host, settings.backend) == (81, "::1", "cpu")
    assert (settings.docs, settings.log_level) == (True, "debug")
    assert settings.model_dir == str(Path.cwd() / "models")
    assert settings.source("port") == "command line"
    assert settings.source("host") == f"{machine.json}:2"


def test_config_takes_yaml_and_json(machine: Machine, tmp_path: Path) -> None:
    yaml = machine.write(tmp_path / "a.conf", "port: 90\n")
    render(Toy(port=91), tmp_path / "a.json")
    assert parse(machine, "--config", str(yaml)).settings.port == 90
    assert parse(machine, "--config", str(tmp_path / "a.json")).settings.port == 91


def test_missing_json_exits_78(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(machine) == os.EX_CONFIG
    told = capsys.readouterr().err
    assert told == (
        f"hailo-toy-server: {machine.json}: no such file;"
        " create it with `hailo-render-config hailo-toy`, or try --demo\n"
    )


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--port", "0"], "argument --port: 0 is not an integer from 1 to 65535"),
        (["--backend", "gpu"], "argument --backend: 'gpu' is not one of auto, npu, cpu"),
        (["--host", "a b"], "argument --host: 'a b' is not an IP address or a host name"),
        (["--model", ""], "argument --model: not the name of a folder"),
        (["--conf", "x"], "unrecognized arguments: --conf x"),
    ],
)
def test_usage_errors_exit_2(
    machine: Machine, capsys: pytest.CaptureFixture[str], argv: list[str], message: str
) -> None:
    assert status_of(machine, "--demo", *argv) == 2
    assert message in capsys.readouterr().err


def test_check_config_reads_the_yaml_layers(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(machine, "--check-config") == 0
    candidate = machine.write(machine.admin, "low: 9\n")
    assert status_of(machine, "--check-config") == os.EX_CONFIG
    assert f"hailo-toy-server: {candidate}:1: low: low (9) is more than high (5)" in capsys.readouterr().err
    assert status_of(machine, "--check-config", "--config", str(candidate)) == os.EX_CONFIG


def test_dump_is_yaml_that_loads_again(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.write(
        machine.admin, "model_dir: /a/very/long/folder/name/that/goes/over/the/column\nhost: '::'\n"
    )
    assert status_of(machine, "--dump-config", "--port", "99") == 0
    text = capsys.readouterr().out
    again = load_files(Toy, [machine.write(machine.root / "dump.yaml", text)])
    assert (again.port, again.host) == (99, "::")
    assert f'host: "::"{" " * 38}  # {machine.admin}:2' in text.splitlines()[0]
    assert "# command line" in text
    assert "# default" in text


def test_help_lists_every_key_with_its_default(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(machine, "--help") == 0
    text = capsys.readouterr().out
    for key in Toy.table():
        assert f"\n  {key.name}: " in text


def test_version(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(machine, "--version") == 0
    assert capsys.readouterr().out == f"hailo-toy-server {__version__}\n"

"""From YAML to the JSON that the service reads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hailo_common.cli import render_config
from hailo_common.config.load import read_json_config
from hailo_common.config.render import render
from hailo_common.errors import ConfigError
from hailo_florence.config import SERVICE as FLORENCE
from tests.hailo_common.config.conftest import SERVICE, Machine, Toy

BAD_JSON = [
    ("{", ":1: not JSON: Expecting property name enclosed in double quotes"),
    ('{\n "port": 1\n "low": 2}', ":3: not JSON: Expecting ',' delimiter"),
    ("[]", ":1: not a mapping; the file must be one JSON object"),
    ("[" * 50_000, ": not JSON that a configuration may contain"),
    ('{"port": ' + "1" * 5000 + "}", ": not JSON that a configuration may contain"),
    ('{\n  "port": 1,\n  "port": 2\n}', ": port: given twice, first on line 2"),
    ('{\n  "low": 1,\n  "port": 0\n}', ":3: port: 0 is not an integer from 1 to 65535"),
    ('{"port": NaN}', ":1: port: 'NaN' is not an integer from 1 to 65535"),
    ('{"port": true}', ":1: port: 'true' is not an integer from 1 to 65535"),
    ('{"port": null}', ":1: port: no value is given; it must be an integer from 1 to 65535"),
    ('{"port": {"a": 1}}', ":1: port: a mapping; it must be an integer from 1 to 65535"),
    (
        '{"port": [1]}',
        ":1: port: a list of something other than strings; it must be an integer from 1 to 65535",
    ),
    ('{"prot": 1}', ':1: prot: unknown key; did you mean "port"?'),
]


@pytest.mark.parametrize(("content", "message"), BAD_JSON, ids=lambda value: repr(value)[:40])
def test_bad_json_is_told_like_bad_yaml(machine: Machine, content: str, message: str) -> None:
    machine.write(machine.json, content)
    with pytest.raises(ConfigError) as raised:
        read_json_config(Toy, SERVICE, machine.places)
    assert message in str(raised.value).splitlines()[0]
    assert str(raised.value).startswith(str(machine.json))


def test_missing_json_names_the_command(machine: Machine) -> None:
    with pytest.raises(ConfigError) as raised:
        read_json_config(Toy, SERVICE, machine.places)
    assert (
        str(raised.value)
        == f"{machine.json}: no such file; create it with `hailo-render-config hailo-toy`, or try --demo"
    )


def test_render_and_read_back(machine: Machine) -> None:
    wanted = Toy(port=80, allowed_hosts=("pi",), slow_inference_s=0.25)
    assert render(wanted, machine.json)
    assert read_json_config(Toy, SERVICE, machine.places) == wanted
    assert json.loads(machine.json.read_text())["load_timeout_s"] == 300
    assert machine.json.stat().st_mode & 0o777 == 0o644


def test_unchanged_content_is_not_written_again(machine: Machine) -> None:
    render(Toy(), machine.json)
    before = machine.json.stat()
    assert not render(Toy(), machine.json)
    assert machine.json.stat().st_ino == before.st_ino
    assert render(Toy(port=81), machine.json)


def test_a_folder_that_cannot_be_written_is_a_config_error(machine: Machine) -> None:
    machine.write(machine.root / "etc/xdg", "a file where a folder must be")
    with pytest.raises(ConfigError, match="cannot be written: Not a directory"):
        render(Toy(), machine.json)


def run(machine: Machine, *args: str) -> int:
    try:
        return render_config.main([FLORENCE, "--root", str(machine.root), *args])
    except SystemExit as stop:
        return int(stop.code or 0)


@pytest.fixture(autouse=True)
def _no_xdg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)


def test_command_writes_checks_and_keeps_the_old_file(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    admin = machine.write(machine.root / f"etc/hailo/{FLORENCE}.yaml", "port: 80\n")
    output = machine.root / f"etc/xdg/{FLORENCE}/{FLORENCE}.json"
    assert run(machine, "--check") == 0
    assert not output.exists()
    assert run(machine) == 0
    assert capsys.readouterr().out == f"hailo-render-config: wrote {output}\n"
    old = output.read_bytes()
    admin.write_text("port: eighty\n")
    assert run(machine) == os.EX_CONFIG
    told = capsys.readouterr()
    assert told.err == f"hailo-render-config: {admin}:1: port: 'eighty' is not an integer from 1 to 65535\n"
    assert not told.out
    assert output.read_bytes() == old
    assert run(machine, "--check") == os.EX_CONFIG


def test_command_writes_elsewhere(machine: Machine) -> None:
    output = machine.root / "elsewhere.json"
    assert run(machine, "--output", str(output)) == 0
    assert json.loads(output.read_text())["port"] == 11438
    assert sorted(path.name for path in machine.root.iterdir()) == ["elsewhere.json"]


@pytest.mark.parametrize("argv", [[], ["--bogus"], ["a", "b"]])
def test_usage_errors(argv: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        render_config.main(argv)
    assert stop.value.code == 2


def test_unknown_service(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        render_config.main(["hailo-nothing"])
    assert stop.value.code == os.EX_CONFIG
    assert "'hailo-nothing' is not a service that is installed here" in capsys.readouterr().err


def test_rendering_needs_no_web_framework() -> None:
    code = "import sys, hailo_common.cli.render_config, hailo_florence.config;"
    code += "print([m for m in ('fastapi', 'uvicorn', 'numpy', 'pydantic') if m in sys.modules])"
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

"""`hailo-ctl config`: what it changes, what it says, how it ends."""

from __future__ import annotations

import io
import json
import os

import pytest

from tests.hailo_common.cli.conftest import Machine

YAML = "etc/hailo/hailo-vision.yaml"


def test_set_and_get_and_show(machine: Machine) -> None:
    path = machine.put(YAML, "# mine\nport: '11435' # why\n")
    done = machine.ctl("config", "set", "hailo-vision", "port=8081", "allowed_hosts=pi.local,cam.lan")
    assert (done.status, done.err) == (0, "")
    assert f"{path}: port: 11435 -> 8081\n" in done.out
    assert path.read_text() == "# mine\nport: '8081' # why\nallowed_hosts: [pi.local, cam.lan]\n"
    assert machine.ctl("config", "get", "hailo-vision", "port").out == "8081\n"
    assert machine.ctl("config", "get", "hailo-vision", "allowed_hosts").out == "pi.local\ncam.lan\n"
    assert machine.ctl("config", "get", "hailo-vision", "docs").out == "false\n"
    rows = {row["name"]: row for row in machine.ctl("config", "show", "hailo-vision", "--json").json()}
    assert rows["port"] == {"name": "port", "value": 8081, "source": f"{path}:2"}
    assert "port: 8081" in machine.ctl("config", "show", "hailo-vision").out
    assert machine.ctl("config", "unset", "hailo-vision", "port", "--quiet").out == ""
    assert "#port: '8081' # why\n" in path.read_text()


def test_a_model_that_no_manifest_names_is_told(machine: Machine) -> None:
    done = machine.ctl("config", "set", "hailo-vision", "model=llava")
    assert (done.status, "model: auto -> llava" in done.out.replace("(default)", "auto")) == (0, True)
    assert "hailo-vision has no model 'llava'" in done.err
    assert "smolvlm-256m-instruct-gguf" in done.err
    assert "florence" not in done.err
    for name in ("smolvlm-256m-instruct-gguf", "demo", "auto"):
        assert machine.ctl("config", "set", "hailo-vision", f"model={name}").err == ""


def test_both_ways_to_write_it_and_a_file_of_its_own(machine: Machine) -> None:
    other = machine.root / "other.yaml"
    assert machine.ctl("config", "set", "hailo-florence", "host", "::", "--file", str(other)).status == 0
    assert other.read_text().endswith('host: "::"\n')
    assert not (machine.root / "etc/hailo/hailo-florence.yaml").exists()


def test_a_secret_comes_from_standard_input_and_is_not_shown(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("open-sesame\n"))
    done = machine.ctl("config", "set", "hailo-vision", "--stdin", "api_keys")
    assert done.status == 0
    assert "sesame" not in done.out + done.err
    assert (machine.root / YAML).stat().st_mode & 0o777 == 0o640
    assert '"***"' in machine.ctl("config", "show", "hailo-vision", "--json").out.replace("[***]", '"***"')
    assert "sesame" not in machine.ctl("config", "show", "hailo-vision").out


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("set", "hailo-vision", "port=0"), 78, "port: 0 is not an integer from 1 to 65535"),
        (("set", "hailo-vision", "prot=1"), 78, "'prot': unknown key; did you mean \"port\"?"),
        (("set", "hailo-vision", "port"), 2, "'port' is not KEY=VALUE"),
        (("set", "hailo-vision"), 2, "nothing to set"),
        (("set", "hailo-nothing", "port=1"), 78, "'hailo-nothing' is not a service that is installed here"),
        (("unset", "hailo-vision", "prot"), 78, "unknown key"),
        (("get", "hailo-vision", "prot"), 78, "'prot': unknown key; did you mean \"port\"?"),
        (("set", "hailo-fetch", "mirrors_only=yes"), 78, "mirrors_only needs a mirror or peers"),
        (
            ("set", "hailo-fetch", "mirror=ftp://x"),
            78,
            "mirror: 'ftp://x' is not the absolute path of a folder",
        ),
        (("set", "hailo-fetch", "when=soon"), 78, "when: 'soon' is not one of now, background, never"),
    ],
)
def test_errors(machine: Machine, words: tuple[str, ...], status: int, message: str) -> None:
    done = machine.ctl("config", *words)
    assert done.status == status
    assert message in done.err
    assert done.err.startswith("hailo-ctl: ")
    assert not (machine.root / "etc/hailo/hailo-vision.yaml").exists()


@pytest.mark.parametrize(
    "words", [("set", "hailo-vision", "port=1"), ("render",), ("unset", "hailo-vision", "port")]
)
def test_without_rights_it_says_so(machine: Machine, unprivileged: None, words: tuple[str, ...]) -> None:
    done = machine.ctl("config", *words)
    assert (done.status, done.out) == (os.EX_NOPERM, "")
    assert "Permission denied\nhailo-ctl: try: sudo hailo-ctl" in done.err


def test_check_and_render_do_what_they_can_and_name_every_problem(machine: Machine) -> None:
    machine.put(YAML, "port: eighty\n")
    florence = machine.put("etc/hailo/hailo-florence.yaml", "port: 90\n")
    done = machine.ctl("config", "check")
    assert done.status == 78
    assert "hailo-vision.yaml:1: port: 'eighty' is not an integer" in done.err
    done = machine.ctl("config", "render", "--units", str(machine.root / "units"))
    assert done.status == 78
    rendered = machine.root / "etc/xdg/hailo-florence/hailo-florence.json"
    assert json.loads(rendered.read_text())["port"] == 90
    assert (
        "ListenStream=127.0.0.1:90\n"
        in (machine.root / "units/hailo-florence.socket.d/50-hailo.conf").read_text()
    )
    assert not (machine.root / "etc/xdg/hailo-vision").exists()
    assert machine.ctl("config", "check", "hailo-florence").status == 0
    florence.write_text("prot: 90\n")
    before = rendered.read_bytes()
    assert machine.ctl("config", "render", "--service", "hailo-florence").status == 78
    assert rendered.read_bytes() == before


def test_render_says_only_what_changed(machine: Machine) -> None:
    first = machine.ctl("config", "render", "--units", str(machine.root / "units"))
    assert (first.status, first.out.count("wrote ")) == (0, 8)
    assert machine.ctl("config", "render", "--units", str(machine.root / "units")).out == ""


def test_a_stronger_file_is_named(machine: Machine) -> None:
    dropin = machine.put("etc/hailo/hailo-vision.d/fleet.yaml", "port: 5\n")
    done = machine.ctl("config", "set", "hailo-vision", "port=6")
    assert done.status == 0
    assert done.err == f"hailo-ctl: port: has no effect, because {dropin}:1 takes precedence\n"


def test_a_name_without_address_is_worth_another_try(machine: Machine) -> None:
    """The services of a machine that boots without its name server start on the address they had."""
    machine.put(YAML, "host: nothing.invalid\n")
    machine.put("etc/hailo/hailo-florence.yaml", "port: 8082\n")
    units = machine.root / "units"
    done = machine.ctl("config", "render", "hailo-vision", "hailo-florence", "--units", str(units))
    assert done.status == os.EX_TEMPFAIL
    assert "host: 'nothing.invalid' has no address now" in done.err
    assert (machine.root / "etc/xdg/hailo-vision/hailo-vision.json").exists()
    assert not (units / "hailo-vision.socket.d").exists()
    assert (units / "hailo-florence.socket.d").exists()
    machine.put("etc/hailo/hailo-florence.yaml", "prot: 8082\n")
    assert machine.ctl("config", "render", "--units", str(units)).status == os.EX_CONFIG

"""Help, completion and manual pages say the same as the parsers."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hailo_common import __version__
from hailo_common.cli.complete import complete
from hailo_common.cli.main import build_parser, main
from tests.hailo_common.cli.conftest import TREE
from tools.docs.manpages import commands, manual_pages

LEAVES = [command.prog for command in commands(build_parser())]
TOP = sorted({prog.split()[1] for prog in LEAVES})


@pytest.mark.parametrize("prog", LEAVES)
def test_every_command_explains_itself(prog: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([*prog.split()[1:], "--help"])
    assert stop.value.code == 0
    assert f"usage: {prog}" in capsys.readouterr().out


def test_version_and_nothing_at_all(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert (stop.value.code, capsys.readouterr().out) == (0, f"hailo-ctl {__version__}\n")
    with pytest.raises(SystemExit) as stop:
        main([])
    assert stop.value.code == 2


def test_committed_manual_pages_are_current() -> None:
    for name, text in manual_pages().items():
        assert (TREE / "docs/man" / name).read_text() == text, "run: make docs"


def test_the_manual_names_every_command_and_key() -> None:
    pages = {name: text.replace("\\-", "-") for name, text in manual_pages().items()}
    for prog in LEAVES:
        assert f'.SS "{prog}"' in pages["hailo-ctl.8"]
    assert "\\fBmax_new_tokens: 512\\fR" in pages["hailo-vision.yaml.5"]
    assert "sha256 is required" in pages["models.manifest.5"]


@pytest.mark.parametrize("name", sorted(manual_pages()))
def test_pages_are_sound(name: str) -> None:
    if shutil.which("groff") is None:
        pytest.skip("groff is not installed")
    page = TREE / "docs/man" / name
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-z", page], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([""], TOP),
        (["con"], ["config"]),
        (["models", "f"], ["fetch"]),
        (["models", "fetch", "--a"], ["--accept", "--all-wanted"]),
        (["config", "set", "hailo-f"], ["hailo-fetch", "hailo-florence"]),
        (["config", "set", "hailo-vision", "backend=n"], ["backend=npu"]),
        (["config", "set", "hailo-vision", "model_d"], ["model_dir="]),
        (["config", "get", "hailo-vision", "model_d"], ["model_dir"]),
        (["config", "set", "hailo-nothing", "p"], []),
        (["models", "fetch", "florence-2-base-f"], ["florence-2-base-ft-onnx"]),
        (["models", "add", "--folder", "/"], []),
    ],
)
def test_completion(words: list[str], expected: list[str]) -> None:
    assert complete(build_parser(), words) == expected


def bash(line: str) -> list[str]:
    """What bash would offer after this line."""
    tool = Path(sys.executable).parent / "hailo-ctl"
    script = f"""
        PATH={tool.parent}:$PATH
        compopt() {{ :; }}
        source {TREE}/completions/hailo-ctl
        COMP_LINE=$1 COMP_POINT=${{#1}}
        _hailo_ctl
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    command = ["bash", "-euc", script, "bash", line]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def test_completion_in_bash() -> None:
    if not (Path(sys.executable).parent / "hailo-ctl").exists():
        pytest.skip("hailo-ctl is not installed as a program")
    assert bash("hailo-ctl models re") == ["remove"]
    of_models = [prog.split()[-1] for prog in LEAVES if prog.startswith("hailo-ctl models ")]
    assert bash("hailo-ctl models ") == sorted(of_models)
    assert bash("hailo-ctl config set hailo-vision backend=") == ["auto", "cpu", "npu"]
    assert bash("hailo-ctl nothing ") == TOP

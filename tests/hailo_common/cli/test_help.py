"""Help, completion and manual pages say the same as the parsers."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from hailo_common import __version__
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


@pytest.mark.parametrize("prog", LEAVES)
def test_a_command_alone_explains_itself_as_in_the_whole_tree(prog: str) -> None:
    name = prog.split()[1]
    alone = {command.prog: command.format_help() for command in commands(build_parser(name))}
    whole = {command.prog: command.format_help() for command in commands(build_parser())}
    assert alone[prog] == whole[prog]
    assert build_parser(name).format_help() == build_parser().format_help() == build_parser("").format_help()


@pytest.mark.parametrize(
    ("words", "closed"),
    [
        (["--help"], {"yaml", "urllib3", "hailo_common.cli.config", "hailo_common.models"}),
        (["config", "check"], {"urllib3", "http.client", "hailo_common.cli.config_values"}),
        (["config", "nothing"], {"urllib3", "http.client", "hailo_common.models"}),
        (["drain", "--help"], {"urllib3", "hailo_common.models", "hailo_common.cli.config"}),
        (["models", "list", "--help"], {"hailo_common.cli.config", "hailo_common.cli.doctor.command"}),
    ],
)
def test_only_the_module_of_the_command_is_imported(words: list[str], closed: set[str]) -> None:
    code = (
        "import atexit, sys; from hailo_common.cli.main import main\n"
        "atexit.register(lambda: print(*sys.modules, file=sys.stderr)); main(sys.argv[1:])"
    )
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(command, cwd=TREE, capture_output=True, text=True, check=False)
    assert not set(done.stderr.split()) & closed


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
        assert f".SS \\fB{prog}\\fR\n" in pages["hailo-ctl.8"]
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
        (["config", "set", "hailo-vision", "backend=n"], ["npu"]),
        (["config", "set", "hailo-vision", "model_d"], ["model_dir="]),
        (["config", "get", "hailo-vision", "model_d"], ["model_dir"]),
        (["config", "set", "hailo-nothing", "p"], []),
        (["models", "fetch", "florence-2-base-h"], ["florence-2-base-hailo8"]),
        (["models", "add", "--folder", "/"], []),
    ],
)
def test_completion(words: list[str], expected: list[str]) -> None:
    assert bash(" ".join(["hailo-ctl", *words])) == expected


def program() -> Path:
    """The installed hailo-ctl."""
    tool = Path(sys.executable).parent / "hailo-ctl"
    if not tool.exists() or find_spec("argcomplete") is None:
        pytest.skip("hailo-ctl is not installed as a program, or argcomplete is missing")
    return tool


def bash(line: str) -> list[str]:
    """What bash would offer after this line, in its order."""
    script = f"""
        PATH={program().parent}:$PATH
        compopt() {{ :; }}
        source {TREE}/completions/hailo-ctl
        COMP_LINE=$1 COMP_POINT=${{#1}} COMP_TYPE=9
        _python_argcomplete hailo-ctl
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    command = ["bash", "-euc", script, "bash", line]
    return sorted(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def test_completion_of_words_within_a_line() -> None:
    assert bash("hailo-ctl models re") == ["remove"]
    of_models = [prog.split()[-1] for prog in LEAVES if prog.startswith("hailo-ctl models ")]
    assert bash("hailo-ctl models ") == sorted(of_models)
    assert bash("hailo-ctl config set hailo-vision backend=") == ["auto", "cpu", "npu"]
    assert bash("hailo-ctl nothing ") == TOP


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("mod", "models "),
        ("config set hailo-vision backend=n", "backend=npu "),
        ("config get hailo-v", "ision "),
    ],
)
def test_readline_completes_what_is_typed(typed: str, completed: str) -> None:
    """A whole interactive bash: only readline knows at which characters it breaks a line into words."""
    leader, follower = pty.openpty()
    command = ["bash", "--norc", "--noprofile", "-i"]
    environ = {**os.environ, "TERM": "dumb", "PATH": f"{program().parent}:{os.environ['PATH']}"}
    shell = subprocess.Popen(
        command, stdin=follower, stdout=follower, stderr=follower, env=environ, start_new_session=True
    )
    os.close(follower)
    try:
        os.write(leader, f". {TREE}/completions/hailo-ctl; echo re''ady\n".encode())
        read_until(leader, "\nready")
        os.write(leader, f"hailo-ctl {typed}\t".encode())
        read_until(leader, completed)
    finally:
        shell.kill()
        shell.wait()
        os.close(leader)


def read_until(fd: int, text: str) -> None:
    """Fails after ten seconds without the text."""
    shown, end = "", time.monotonic() + 10
    while text not in shown:
        assert select.select([fd], [], [], max(0, end - time.monotonic()))[0], shown
        shown += os.read(fd, 4096).decode()


def test_without_argcomplete_nothing_is_offered_and_nothing_said() -> None:
    environ = {**os.environ, "_ARGCOMPLETE": "1", "COMP_LINE": "hailo-ctl mod", "COMP_POINT": "13"}
    code = (
        "import sys; sys.modules['argcomplete'] = None; import hailo_common.cli.main as c; sys.exit(c.main())"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=TREE, env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (os.EX_UNAVAILABLE, "", "")

"""The shell's reading of a YAML line against the loader that the services use."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hailo_common.config.load import read_yaml
from hailo_common.errors import ConfigError

LIBRARY = Path(__file__).parents[2] / "debian" / "debconf-lib.sh"
ABSENT, NOT_OURS = 1, 2


def scan(path: Path, key: str = "port") -> tuple[int, str]:
    """Exit status and output of `yaml_scalar`."""
    line = f'. {LIBRARY}; yaml_scalar "$1" "$2"'
    done = subprocess.run(
        ["sh", "-c", line, "sh", path, key], capture_output=True, timeout=60, check=False, env={"LC_ALL": "C"}
    )
    return done.returncode, done.stdout.decode("utf-8").removesuffix("\n")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("port: 1\n", (0, "1")),
        ("port: 1", (0, "1")),
        ("port:   1   # one\r\n", (0, "1")),
        ('port: "1"# no comment\n', (NOT_OURS, "")),
        ("port: '1' # a comment\n", (0, "1")),
        ('host: "::"\nport: 1\n', (0, "1")),
        ("port: a#b\n", (0, "a#b")),
        ("", (ABSENT, "")),
        ("#port: 1\n", (ABSENT, "")),
        ("  port: 1\n", (ABSENT, "")),
        ("ports: 1\n", (ABSENT, "")),
        ("port:\n  1\n", (NOT_OURS, "")),
        ("port: 1\n  2\n", (NOT_OURS, "")),
        ("port: 1\n\n  2\n", (NOT_OURS, "")),
        ("port: 1\nport: 2\n", (NOT_OURS, "")),
        ("port: [1]\n", (NOT_OURS, "")),
        ("port: &a 1\n", (NOT_OURS, "")),
        ("port: !!int 1\n", (NOT_OURS, "")),
        ("port: |\n  1\n", (NOT_OURS, "")),
        ('port: "\\x31"\n', (NOT_OURS, "")),
        ("port: 'it''s'\n", (NOT_OURS, "")),
        ("port: ~\n", (NOT_OURS, "")),
        ("port:\n", (NOT_OURS, "")),
        ("port: ::\n", (NOT_OURS, "")),
        ("port:1\n", (NOT_OURS, "")),
        ('port: ""\n', (0, "")),
    ],
)
def test_lines(tmp_path: Path, text: str, found: tuple[int, str]) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(text.encode())
    assert scan(path) == found


def test_no_file(tmp_path: Path) -> None:
    assert scan(tmp_path / "none") == (ABSENT, "")


_SYNTAX = r"port:|port|:| |  |#| # |\"|'|-|[|]|{|}|,|&a|*a|!|\\|%|~|null|::|é|? |- |---|...|>|1|a b|0.0.0.0"
_PIECE = st.sampled_from([*_SYNTAX.split("|"), "|", "\n", "\r\n", "\t"])


@given(st.lists(_PIECE, max_size=12).map(lambda pieces: "port: " + "".join(pieces)))
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_the_scan_reads_the_loader_reads_too(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(text.encode())
    status, value = scan(path)
    if status != 0:
        return
    try:
        entries = [entry for entry in read_yaml(path) if entry.name == "port"]
    except ConfigError:
        return  # No such file gets past the check before a change is written.
    assert [entry.value for entry in entries] == [value], text

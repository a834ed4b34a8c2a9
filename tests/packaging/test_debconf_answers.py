"""An answer that is refused is named; debconf's commands are stood in for."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

DEBIAN = Path(__file__).parents[2] / "debian"
_STAND_IN = """
OWNER=hailo-florence CONFIG=/nonexistent SECRET=api_key KEYS="port=11438 host=127.0.0.1"
set -- configure
db_get() { case $1 in */port) RET=$PORT ;; */api_key) RET=$API_KEY ;; *) RET=127.0.0.1 ;; esac; }
db_set() { RET="set $2"; }
db_fset() { RET=false; }
db_input() { RET=10; return 30; }
db_go() { RET=0; }
"""


@pytest.mark.parametrize(
    ("port", "api_key", "said"),
    [
        ("11438", "", ""),
        ("70000", "", "the answer '70000' to hailo-florence/port is not allowed (a number from 1 to 65535)"),
        ("1;rm -rf /", "", "the answer '1;rm -rf /' to hailo-florence/port is not allowed"),
        ("11438", "short", "the answer to hailo-florence/api_key is no key (8 to 256 visible ASCII"),
    ],
)
def test_a_refused_answer_is_named_and_a_key_is_not(port: str, api_key: str, said: str) -> None:
    script = _STAND_IN + "".join(
        (DEBIAN / name).read_text(encoding="utf-8") for name in ("debconf-lib.sh", "debconf-ask.sh")
    )
    done = subprocess.run(
        ["sh", "-ec", script],
        env={"PATH": "/usr/bin:/bin", "PORT": port, "API_KEY": api_key, "LC_ALL": "C"},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert said in done.stderr
    assert bool(said) == bool(done.stderr)
    assert "short" not in done.stderr

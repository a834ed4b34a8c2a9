"""What ends a program is an error in the journal and plain text for a person."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = "from hailo_common.complaint import complain; complain('toy-server', 'no\\nnever')"


@pytest.mark.parametrize("under_systemd", [True, False])
def test_each_line_has_its_priority_under_systemd_alone(under_systemd: bool) -> None:
    reader, writer = os.pipe()
    status = os.fstat(writer)
    named = f"{status.st_dev}:{status.st_ino}" if under_systemd else "8:1"
    subprocess.run(
        [sys.executable, "-c", PROGRAM],
        check=True,
        stderr=writer,
        env={**os.environ, "JOURNAL_STREAM": named},
    )
    os.close(writer)
    with os.fdopen(reader) as pipe:
        lines = pipe.read().splitlines()
    priority = "<3>" if under_systemd else ""
    assert lines == [f"{priority}toy-server: no", f"{priority}toy-server: never"]

"""What the guard of upgrades writes as root goes through no link of another user."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

GUARD = Path(__file__).parents[2] / "fleet/node/hailo-fleet-guard"


def run(tmp_path: Path, call: str) -> None:
    """Call a function of the guard, whose places lie in `tmp_path`."""
    text = GUARD.read_text().partition('case "${1:-}" in')[0]
    for name, place in (
        ("STATE", "state"),
        ("TEXTFILE", "exporter/hailo_fleet.prom"),
        ("DRAIN", "run/drain"),
    ):
        old = next(line for line in text.splitlines() if line.startswith(f"{name}="))
        text = text.replace(old, f"{name}={tmp_path / place}")
    subprocess.run(["sh", "-c", f"{text}\n{call}"], check=True, env={**os.environ, "PATH": "/usr/bin:/bin"})


@pytest.mark.parametrize("planted", ["hailo_fleet.prom", "hailo_fleet.prom.new"])
def test_a_link_in_the_exporters_folder_is_not_followed(tmp_path: Path, planted: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("root's own")
    for folder in ("state", "exporter"):
        (tmp_path / folder).mkdir()
    (tmp_path / "exporter" / planted).symlink_to(secret)
    run(tmp_path, "report good 'upgraded to x'")
    assert secret.read_text() == "root's own"
    told = tmp_path / "exporter/hailo_fleet.prom"
    assert not told.is_symlink()
    assert 'hailo_fleet_upgrade_result{result="good"} 1' in told.read_text()
    assert told.stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "state/last").read_text().splitlines()[0] == "good"


def test_a_node_is_drained_through_no_link(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("root's own")
    (tmp_path / "run").mkdir()
    (tmp_path / "run/drain").symlink_to(secret)
    run(tmp_path, "drain")
    assert secret.read_text() == "root's own"
    assert (tmp_path / "run/drain").is_file()
    assert not (tmp_path / "run/drain").is_symlink()

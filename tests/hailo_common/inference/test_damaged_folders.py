"""Threat E5 of tests/threats.md: the short form of `tests/damage.py`, and that it sees what it looks for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.damage import CRASHED, DEMOS, LOADED, REFUSED, Outcome, campaign, outcome, prepare

COUNT = 60
"""Folders; ten thousand take a quarter of an hour, with `python -m tests.damage`."""


def test_a_damaged_folder_is_loaded_truly_or_refused_with_its_file(tmp_path: Path) -> None:
    ends, broken = campaign(20_000, COUNT, tmp_path)
    assert not broken
    assert ends[REFUSED] > ends.get(LOADED, 0) > 0
    assert sum(ends.values()) == COUNT


def test_what_once_broke_the_rule(tmp_path: Path) -> None:
    """An infinite mlp_ratio; a list in a card's list of tasks."""
    for seed in (344, 1227):
        assert not campaign(seed, 1, tmp_path)[1]


def test_what_breaks_the_rule_is_seen(tmp_path: Path) -> None:
    prepare()
    folder = tmp_path / "model"
    shutil.copytree(DEMOS["hailo_vision"], folder)
    assert outcome("hailo_vision", folder).kind == LOADED
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "hidden_size": "x"}))
    end = outcome("hailo_vision", folder)
    assert (end.kind, end.breaks(folder)) == (REFUSED, "")
    assert Outcome(REFUSED, "something is wrong", 1).breaks(folder) == "names no file"
    assert Outcome(REFUSED, "config.json", 11).breaks(folder) == "took 11.0 s"
    assert Outcome("MemoryError", "config.json", 1).breaks(folder) == "ended with MemoryError"
    assert Outcome(CRASHED, "SIGSEGV", 1).breaks(folder) == "", "the supervisor ends after three of these"

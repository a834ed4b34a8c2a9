"""Threat L1 of tests/threats.md: who may write into the published folder does not choose what is signed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from fleet.repository.__main__ import main
from fleet.repository.tools import RepositoryError
from tests.fleet.operator import NAME, Operator

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, ("apt-ftparchive", "dpkg-deb", "gpg"))), reason="needs Debian's tools"
)


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    """An operator who has published once."""
    made = Operator(tmp_path, url="https://repository.test/hailo")
    made.publish("1")
    return made


def test_a_changed_package_is_not_signed(operator: Operator) -> None:
    """Before, `refresh` signed whatever lay in the pool: it ran every night, by itself."""
    state = operator.state
    good = operator.published / "pool" / f"{NAME}_1_all.deb"
    evil = operator.build("1", "evil")
    shutil.copy(evil, good)
    for command in (operator.repository().refresh, operator.repository().promote):
        with pytest.raises(RepositoryError, match="was changed since it was published"):
            command()
    assert operator.state == state
    good.unlink()
    good.symlink_to(evil)
    with pytest.raises(RepositoryError, match="the pool lacks"):
        operator.repository().refresh()
    with pytest.raises(RepositoryError, match="published already with other content"):
        operator.repository().publish([evil], "Test")


def test_the_published_folder_has_no_say_in_what_a_state_holds(operator: Operator) -> None:
    """A history there could have brought an old, vulnerable version back as the newest."""
    operator.publish("2")
    rows = json.loads((operator.keys.folder / "history.json").read_text())
    (operator.published / "history.json").write_text(json.dumps(rows[:1]))
    operator.repository().refresh()
    assert f"{NAME} 2 all" in "\n".join(operator.repository().lines())
    assert not (operator.published / ".apt-ftparchive.db").exists()


@pytest.mark.parametrize(
    "url", ['x"; reboot; "', "https://a/$(reboot)", "https://a/`id`", "https://a/\n", "a b"]
)
def test_no_url_reaches_a_shell(operator: Operator, url: str) -> None:
    script = operator.published / "provision.sh"
    before = script.read_text()
    with pytest.raises(RepositoryError, match="is not a URL"):
        Operator.repository(_with(operator, url)).refresh()
    assert script.read_text() == before
    script.write_text('URL="$(reboot)"\n')
    _with(operator, "").repository().refresh()
    assert 'URL="https://repository.test/hailo"' in script.read_text()


def _with(operator: Operator, url: str) -> Operator:
    operator.url = url
    return operator


def test_states_are_valid_for_two_weeks_unless_told_otherwise(operator: Operator) -> None:
    words = ["--repository", str(operator.published), "--keys", str(operator.keys.folder)]
    assert main([*words, "refresh"]) == 0
    assert "Valid-Until:" in (operator.state / "Release").read_text()
    assert main([*words, "--valid-days", "0", "refresh"]) == 0
    assert "Valid-Until:" not in (operator.state / "Release").read_text()


def test_a_repository_of_an_earlier_version_is_believed_once_and_when_told(operator: Operator) -> None:
    (operator.keys.folder / "history.json").rename(operator.published / "history.json")
    (operator.keys.folder / "sums.json").unlink()
    with pytest.raises(RepositoryError, match="has a history of its own"):
        operator.publish("2")
    operator.repository().adopt()
    operator.publish("2")
    with pytest.raises(RepositoryError, match="nothing to adopt"):
        operator.repository().adopt()

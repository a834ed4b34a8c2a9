"""The signed repository, read by apt and sqv of Debian 13: what it takes, and what it must refuse."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.repository.tools import RepositoryError
from tests.fleet.operator import KEYRING, NAME, Node, Operator, served
from tests.fleet.roots import told
from tests.machine.roots import TREE, Root

pytestmark = pytest.mark.fleet
DAY_S = 86400


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[Operator]:
    """A repository with version 1 as candidate and stable, on a web server."""
    operator = Operator(tmp_path / "operator")
    with served(operator.published) as url:
        operator.url = url
        operator.publish("1")
        yield operator


@pytest.fixture
def client(node: Root, operator: Operator) -> Node:
    """A node that has version 1 and the keyring package."""
    client = Node(node, operator.url, operator.keys.public())
    client.good("update")
    client.good(f"install {NAME} {KEYRING}")
    return client


def _go_back_in_time(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() - seconds)


def _make_later(operator: Operator, seconds: float) -> None:
    """A change within the second of the one before is none for a web server; this one is after `seconds`."""
    release = operator.state / "InRelease"
    if release.exists():
        os.utime(release, (seconds + 1, seconds + 1))


def test_apt_takes_it_without_a_warning_and_finds_no_weak_checksum(client: Node, operator: Operator) -> None:
    assert client.installed() == "1"
    release = (operator.state / "InRelease").read_text()
    assert "SHA256:" in release
    assert not re.search("MD5|SHA1:", release + (operator.state / "main/binary-amd64/Packages").read_text())
    told(client.root, f"sqv --keyring /usr/share/keyrings/{KEYRING}.pgp --version")


def test_a_changed_package_is_refused(client: Node, operator: Operator) -> None:
    operator.publish("2")
    deb = operator.published / f"pool/{NAME}_2_all.deb"
    data = bytearray(deb.read_bytes())
    data[-1] ^= 1
    deb.write_bytes(data)
    client.good("update")
    status, output = client.apt("upgrade")
    assert status == 100
    assert "Hash Sum mismatch" in output
    assert client.installed() == "1"


def test_a_changed_index_is_refused(client: Node, operator: Operator) -> None:
    operator.publish("2")
    for index in operator.state.glob("main/binary-*/**/*"):
        if index.is_file():
            data = index.read_bytes()
            index.unlink()
            index.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    status, output = client.apt("update")
    assert status == 100
    assert "Hash Sum mismatch" in output
    assert client.candidate() == "1"


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("other key", "sqv returned an error code"),
        ("no signature", "is (not|no longer) signed"),
        ("changed", "has been manipulated"),
    ],
)
def test_a_release_without_our_signature_is_refused(
    client: Node, operator: Operator, tmp_path: Path, how: str, words: str
) -> None:
    operator.publish("2")
    state = operator.state
    seconds = (state / "InRelease").stat().st_mtime
    if how == "other key":
        stranger = Operator(tmp_path / "stranger")
        stranger.publish("2")
        shutil.rmtree(operator.published / "dists")
        shutil.copytree(stranger.published, operator.published, dirs_exist_ok=True, symlinks=True)
    elif how == "no signature":
        (state / "InRelease").unlink()
        (state / "Release.gpg").unlink()
    else:
        signed = (state / "InRelease").read_text()
        (state / "InRelease").write_text(signed.replace("Origin: Hailo", "Origin: Other"))
    _make_later(operator, seconds)
    status, output = client.apt("update")
    assert status == 100
    assert re.search(words, output), output
    assert client.candidate() == "1"


def test_an_expired_release_is_refused_until_it_is_signed_anew(
    client: Node, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = (operator.state / "InRelease").stat().st_mtime
    with monkeypatch.context() as patch:
        _go_back_in_time(patch, 20 * DAY_S)
        shutil.rmtree(operator.published)
        for name in ("history.json", "sums.json"):
            (operator.keys.folder / name).unlink()
        operator.publish("2", valid_days=14)
    _make_later(operator, seconds)
    status, output = client.apt("update")
    assert status == 100
    assert "expired" in output
    assert client.candidate() == "1"
    # This history knows nothing of the states before, whose dates may be a second ahead of the clock.
    time.sleep(2)
    operator.repository(valid_days=14).refresh()
    client.good("update")
    assert client.candidate() == "2"


def test_a_release_from_the_future_is_refused(
    client: Node, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        _go_back_in_time(patch, -3 * DAY_S)
        operator.publish("2")
    status, output = client.apt("update")
    assert status == 100
    assert "not valid yet" in output
    assert client.candidate() == "1"


def test_an_old_index_put_in_place_of_the_new_one_changes_nothing(client: Node, operator: Operator) -> None:
    old = operator.published / "old"
    shutil.copytree(operator.state, old)
    operator.publish("2")
    client.good("update")
    client.good("upgrade")
    assert client.installed() == "2"
    shutil.rmtree(operator.state)
    old.rename(operator.state)
    client.apt("update")
    assert client.candidate() == "2"


def test_the_fleet_follows_the_repository_back(client: Node, operator: Operator) -> None:
    shutil.copy(
        TREE / "fleet/node/hailo-appliance.pref", client.root.file("/etc/apt/preferences.d/hailo.pref")
    )
    operator.publish("2")
    client.good("update")
    client.good("upgrade")
    assert client.installed() == "2"
    operator.repository().rollback("stable")
    client.good("update")
    assert client.candidate() == "1"
    client.good("dist-upgrade --allow-downgrades")
    assert client.installed() == "1"
    assert NAME + " 2" in "\n".join(operator.repository().lines()), "candidate still has it"


def test_a_node_can_go_back_alone(client: Node, operator: Operator) -> None:
    operator.publish("2")
    client.good("update")
    client.good("upgrade")
    client.good(f"install --allow-downgrades {NAME}=1")
    assert client.installed() == "1"


@pytest.mark.parametrize("new_primary", [False, True])
def test_keys_change_by_upgrade(client: Node, operator: Operator, node_root: Path, new_primary: bool) -> None:
    old_keyring = operator.keys.public()
    (old,) = operator.keys.signers
    if new_primary:
        operator.keys.create("Test repository, new")
    else:
        operator.keys.add()
    operator.publish("2")
    assert operator.state.joinpath("InRelease").read_text().count("BEGIN PGP SIGNATURE") == 1
    client.good("update")
    client.good("upgrade")
    assert client.root.file(f"/usr/share/keyrings/{KEYRING}.pgp").read_bytes() == operator.keys.public()

    operator.keys.retire(old)
    operator.publish("3")
    client.good("update")
    client.good("upgrade")
    assert client.installed() == "3"
    assert client.root.file(f"/usr/share/keyrings/{KEYRING}.pgp").read_bytes() == operator.keys.public()

    # A node that slept through all that must be provisioned again; it takes nothing.
    client.root.file(f"/usr/share/keyrings/{KEYRING}.pgp").write_bytes(old_keyring)
    operator.publish("4")
    status, _ = client.apt("update")
    assert status == 100
    assert client.candidate() == "3"


def test_a_share_of_the_fleet_goes_first(client: Node, operator: Operator) -> None:
    operator.repository().publish([operator.build("2")], "")
    counts = {}
    # In a chroot apt takes everything at once.
    no_chroot = "-o Dir::Bin::ischroot=/bin/false"
    for percent in (30, 100):
        operator.repository().promote(percent)
        client.good("update")
        counts[percent] = sum(
            f"Inst {NAME} [1]" in client.apt(f"-s -o APT::Machine-ID={number:032x} {no_chroot} upgrade")[1]
            for number in range(20)
        )
    assert 0 < counts[30] < 20
    assert counts[100] == 20


def test_a_version_never_changes_its_content(operator: Operator) -> None:
    with pytest.raises(RepositoryError, match="higher version"):
        operator.repository().publish([operator.build("1", "something else")], "")


def test_keys_below_the_published_folder_are_refused(operator: Operator) -> None:
    operator.published = operator.keys.folder.parent
    with pytest.raises(RepositoryError, match="web server"):
        operator.repository()


def test_the_keyring_package_is_without_fault(hub: Root, operator: Operator) -> None:
    (deb,) = operator.published.glob(f"pool/{KEYRING}_*.deb")
    shutil.copy(deb, hub.file("/tmp"))
    told(hub, f"lintian --fail-on error,warning /tmp/{deb.name}")


def test_a_node_can_go_back_to_what_it_had_also_after_a_rollback(client: Node, operator: Operator) -> None:
    operator.publish("2")
    operator.repository().rollback("stable")
    operator.publish("3")
    client.good("update")
    client.good("upgrade")
    assert client.installed() == "3"
    client.good(f"install --allow-downgrades {NAME}=1")
    assert client.installed() == "1"


def test_what_was_taken_back_is_not_offered_again(client: Node, operator: Operator) -> None:
    operator.publish("2")
    operator.repository().rollback("stable")
    with pytest.raises(RepositoryError, match="no such earlier state"):
        operator.repository().rollback("stable")
    operator.publish("3")
    refused = f"Package: {NAME}\nPin: version 3\nPin-Priority: -1\n"
    client.root.file("/etc/apt/preferences.d/refused.pref").write_text(refused)
    client.good("update")
    assert client.candidate() == "1"

"""Files that went bad after they arrived: noticed, set aside, fetched again, or taken back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hailo_common.models.integrity import COMPLAINTS, FileCheck, complain, take_complaints
from hailo_common.models.manifest import Model
from tests.hailo_common.models import depot as bad
from tests.hailo_common.models.conftest import BIG, SMALL, Site


def flip(path: Path, at: int = 5000) -> None:
    """One byte is another, as a worn card has it: size and time stay."""
    status = path.stat()
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.fixture
def model(site: Site) -> Model:
    made = site.toy()
    assert site.fetch(made).status == 0
    return made


@pytest.fixture
def big(site: Site) -> Path:
    return site.store.root / "toy-1/onnx/big.onnx"


def test_what_arrived_is_whole(site: Site, model: Model) -> None:
    check, folder = FileCheck(), site.store.folder(model)
    assert not check.touched(folder)
    assert check.damaged(folder, thorough=True) == []


def test_a_folder_without_notes_tells_nothing(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(SMALL)
    assert FileCheck().damaged(tmp_path, thorough=True) == []
    (tmp_path / ".verified.json").write_text('{"config.json": [1, 2], "x": "y", "z": [1, 2, 3, "abc"]}')
    assert FileCheck().damaged(tmp_path, thorough=True) == []
    assert not FileCheck().touched(tmp_path)


def test_a_file_that_was_written_to_is_noticed_without_reading_the_others(site: Site, model: Model) -> None:
    check, folder = FileCheck(), site.store.folder(model)
    (folder / "config.json").write_bytes(SMALL[:-1])
    assert check.touched(folder)
    (found,) = check.damaged(folder, thorough=False)
    assert found.path == "config.json"
    assert "instead of SHA-256" in found.text()


def test_a_file_that_was_only_touched_is_good(site: Site, model: Model, big: Path) -> None:
    check, folder = FileCheck(), site.store.folder(model)
    os.utime(big)
    assert check.touched(folder)
    assert check.damaged(folder, thorough=False) == []


def test_a_flipped_bit_and_a_missing_file_are_found_by_a_thorough_look(
    site: Site, model: Model, big: Path
) -> None:
    check, folder = FileCheck(), site.store.folder(model)
    flip(big)
    assert check.damaged(folder, thorough=False) == []
    (found,) = check.damaged(folder, thorough=True)
    assert found.path == "onnx/big.onnx"
    big.unlink()
    (found,) = check.damaged(folder, thorough=False)
    assert found.found == "it is missing"


def test_what_was_hashed_is_not_hashed_again(
    site: Site, model: Model, big: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check, folder = FileCheck(), site.store.folder(model)
    big.write_bytes(BIG[:-1] + b"?")
    first = check.damaged(folder, thorough=False)
    monkeypatch.setattr("hailo_common.models.integrity.hash_file", lambda _: pytest.fail("read again"))
    assert check.damaged(folder, thorough=False) == first


@pytest.mark.parametrize("rehash", [False, True])
def test_a_bad_file_is_set_aside_and_fetched_again(
    site: Site, model: Model, big: Path, *, rehash: bool
) -> None:
    flip(big)
    assert site.fetch(model, rehash=rehash, suspects=() if rehash else {"toy-1"}).status == 0
    assert site.holds(model)
    assert any("set aside and fetched again" in line for line in site.progress.lines)
    assert FileCheck().damaged(site.store.folder(model), thorough=True) == []


def test_without_a_source_it_stays_aside_and_is_named(site: Site, model: Model, big: Path) -> None:
    flip(big)
    site.depot.behaviours["origin/onnx/big.onnx"] = bad.status(404)
    report = site.fetch(model, suspects={"toy-1"})
    assert "toy-1: still missing: onnx/big.onnx (700 kB)" in report.problems
    assert not big.exists()
    aside = big.with_name(".big.onnx.damaged")
    assert aside.is_file()
    # It is bad for good, so it does not come back by itself; the source does.
    assert site.fetch(model).status == 78
    assert aside.is_file()
    del site.depot.behaviours["origin/onnx/big.onnx"]
    assert site.fetch(model).status == 0
    assert site.holds(model)


def test_a_file_that_was_only_read_wrongly_comes_back(site: Site, model: Model, big: Path) -> None:
    with site.store.locked(1):
        site.store.set_aside(model, model.files[0])
    assert not big.exists()
    requests = len(site.depot.requests)
    assert site.fetch(model).status == 0
    assert site.holds(model)
    assert len(site.depot.requests) == requests
    assert any("good after all" in line for line in site.progress.lines)


def test_a_run_that_was_killed_at_its_end_leaves_nothing_for_ever(
    site: Site, model: Model, big: Path
) -> None:
    big.with_name(".big.onnx.damaged").write_bytes(b"bad")
    assert site.fetch(model).status == 0
    assert site.holds(model)


def test_links_of_one_file_are_damaged_together(site: Site) -> None:
    one = site.model(site.file("onnx/big.onnx", BIG), name="one")
    two = site.model(site.file("onnx/big.onnx", BIG), name="two")
    assert site.fetch(one, two).status == 0
    files = [site.store.path(each, each.files[0]) for each in (one, two)]
    assert files[0].stat().st_ino == files[1].stat().st_ino
    flip(files[0])
    assert site.fetch(one, two, suspects={"one", "two"}).status == 0
    assert [file.read_bytes() for file in files] == [BIG, BIG]


def test_what_is_set_aside_gives_way_where_there_is_no_room(
    site: Site, model: Model, big: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    big.write_bytes(b"x" * len(BIG))
    aside = big.with_name(".big.onnx.damaged")
    monkeypatch.setattr(site.store, "free_bytes", lambda: 0 if aside.exists() else 1 << 30)
    assert site.fetch(model).status == 0
    assert site.holds(model)


def test_a_removed_model_leaves_nothing_aside(site: Site, model: Model, big: Path) -> None:
    with site.store.locked(1):
        site.store.set_aside(model, model.files[0])
        site.store.remove(model)
    assert site.names() == []


def test_services_ask_and_are_heard_once(site: Site, model: Model, tmp_path: Path) -> None:
    root, folder = site.store.root, site.store.folder(model)
    assert not complain(folder), "there is nobody to ask without the folder"
    (root / COMPLAINTS).mkdir()
    assert complain(folder)
    assert complain(folder)
    assert not complain(tmp_path / "elsewhere" / "toy-1")
    (root / COMPLAINTS / "..odd name").touch()
    assert take_complaints(root) == {"toy-1", "..odd name"}
    assert take_complaints(root) == set()

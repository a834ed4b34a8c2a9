"""Threat G5 of tests/threats.md: a pin speaks for the place that gave the bytes, and for no other."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hailo_common.models.export import manifest_of
from hailo_common.models.manifest import Model, ModelFile, read_manifest
from hailo_common.models.settings import FetchSettings
from hailo_common.models.sources import Extra
from hailo_common.models.store import Pins, Store
from tests.hailo_common.models import depot as bad
from tests.hailo_common.models.conftest import BIG, OTHER_BIG, Site
from tests.hailo_common.models.depot import Depot, running

TRUE, EVIL = BIG, OTHER_BIG
PLAIN = FetchSettings(stall_timeout_s=1, keep_free_mb=0, tries=2)


@pytest.fixture
def stranger() -> Iterator[Depot]:
    """Another publisher's server, which has other bytes under the same name."""
    with running() as depot:
        depot.files["origin/onnx/big.onnx"] = depot.files["theirs/onnx/big.onnx"] = EVIL
        yield depot


@pytest.fixture
def shipped(site: Site) -> Model:
    """A model of one file whose publisher states no checksum."""
    return site.model(site.file("onnx/big.onnx", TRUE, stated=False), name="shipped")


def like(model: Model, name: str, *urls: str) -> Model:
    """A stranger's model whose file is said to lie at these addresses."""
    return replace(model, name=name, files=(replace(model.files[0], urls=urls),))


def address(depot: Depot, path: str = "origin/onnx/big.onnx") -> str:
    return f"{depot.url}/{path}"


def content(site: Site, model: Model) -> bytes:
    return site.store.path(model, model.files[0]).read_bytes()


@pytest.mark.parametrize("away", [bad.status(404), bad.status(500), bad.page])
def test_a_second_address_does_not_speak_for_the_first(
    site: Site, shipped: Model, stranger: Depot, away: bad.Behaviour
) -> None:
    """A manifest named the publisher first, then its own server, whose bytes became the publisher's."""
    theirs = like(shipped, "theirs", address(site.depot), address(stranger))
    site.depot.behaviours["origin/onnx/big.onnx"] = away
    assert site.fetch(theirs, settings=PLAIN).status == 0
    assert content(site, theirs) == EVIL
    del site.depot.behaviours["origin/onnx/big.onnx"]
    assert site.fetch(shipped, theirs, settings=PLAIN).status == 0
    assert content(site, shipped) == TRUE
    # Each goes on with what it had.
    site.store.remove(theirs)
    assert site.fetch(theirs, shipped, settings=PLAIN).status == 0
    assert content(site, theirs) == EVIL


def test_a_size_that_the_publishers_file_has_not_changes_nothing(
    site: Site, shipped: Model, stranger: Depot
) -> None:
    """So it was done while the publisher answers."""
    stranger.files["theirs/onnx/big.onnx"] = EVIL + EVIL
    file = replace(shipped.files[0], urls=(address(site.depot), address(stranger, "theirs/onnx/big.onnx")))
    theirs = replace(shipped, name="theirs", files=(replace(file, size=len(EVIL + EVIL)),))
    site.fetch(theirs, settings=PLAIN)
    assert site.fetch(shipped, theirs, settings=PLAIN).status == 0
    assert content(site, shipped) == TRUE


@pytest.mark.parametrize("kind", ["folder", "server", "file"])
def test_what_was_accepted_for_one_model_is_not_the_publishers(
    site: Site, shipped: Model, stranger: Depot, tmp_path: Path, kind: str
) -> None:
    """An operator took a stranger's model from a disk; its manifest named the address of the shipped one."""
    theirs = like(shipped, "theirs", address(site.depot))
    disk = tmp_path / "usb"
    (disk / "theirs/onnx").mkdir(parents=True)
    (disk / "theirs/onnx/big.onnx").write_bytes(EVIL)
    places = {
        "folder": Extra(places=(str(disk),)),
        "server": Extra(places=(stranger.url,)),
        "file": Extra(files={"onnx/big.onnx": disk / "theirs/onnx/big.onnx"}),
    }
    site.accepted = True
    assert site.fetch(theirs, settings=PLAIN, extra=places[kind]).status == 0
    assert content(site, theirs) == EVIL
    assert Pins(site.store.root).trust(theirs, theirs.files[0]) == "accepted"
    site.accepted = False
    assert site.fetch(shipped, theirs, settings=PLAIN).status == 0
    assert content(site, shipped) == TRUE
    # For their model it holds: nothing else comes later, not even from the publisher.
    site.store.remove(theirs)
    assert site.fetch(theirs, settings=PLAIN).status == os.EX_CONFIG
    assert not site.store.path(theirs, theirs.files[0]).exists()


def test_what_somebody_put_there_is_that_models_alone(site: Site, shipped: Model) -> None:
    theirs = like(shipped, "theirs", address(site.depot))
    path = site.store.path(theirs, theirs.files[0])
    path.parent.mkdir(parents=True)
    path.write_bytes(EVIL)
    assert site.fetch(theirs, settings=PLAIN).status == 0
    assert Pins(site.store.root).trust(theirs, theirs.files[0]) == "found"
    assert site.fetch(shipped, theirs, settings=PLAIN).status == 0
    assert content(site, shipped) == TRUE


@pytest.mark.parametrize("stated", [True, False])
def test_a_file_that_came_from_elsewhere_is_not_taken_for_a_new_address(
    site: Site, shipped: Model, stranger: Depot, stated: bool
) -> None:
    """Where a manifest changed the address, by a revision or a trick, the old bytes became the new one's."""
    before = like(shipped, "moved", address(stranger))
    if stated:
        digest = hashlib.sha256(EVIL).hexdigest()
        before = replace(before, files=(replace(before.files[0], sha256=digest),))
    assert site.fetch(before, settings=PLAIN).status == 0
    after = like(shipped, "moved", address(site.depot))
    assert site.fetch(after, settings=PLAIN).status == 0
    assert content(site, after) == TRUE
    assert site.fetch(shipped, after, settings=PLAIN).status == 0
    assert content(site, shipped) == TRUE


def test_a_mirror_must_match_the_publishers_pin(site: Site, shipped: Model, stranger: Depot) -> None:
    assert site.fetch(shipped, settings=PLAIN).status == 0
    before = (site.store.root / "pins.yaml").read_bytes()
    site.store.remove(shipped)
    stranger.files["shipped/onnx/big.onnx"] = EVIL
    only = FetchSettings(mirror=stranger.url, mirrors_only=True, stall_timeout_s=1, keep_free_mb=0, tries=2)
    site.accepted = True
    report = site.fetch(shipped, settings=only)
    assert report.status == os.EX_CONFIG
    assert "instead of" in "\n".join(report.problems)
    assert (site.store.root / "pins.yaml").read_bytes() == before
    # With --from, and with a yes, too.
    site.fetch(shipped, settings=only, extra=Extra(places=(stranger.url,)), again=True)
    assert not site.store.path(shipped, shipped.files[0]).exists()
    stranger.files["shipped/onnx/big.onnx"] = TRUE
    assert site.fetch(shipped, settings=only, again=True).status == 0
    assert content(site, shipped) == TRUE
    assert (site.store.root / "pins.yaml").read_bytes() == before


@pytest.mark.parametrize("how", ["pins.yaml", "mirror.manifest"])
def test_a_second_node_takes_what_the_first_one_took(
    site: Site, shipped: Model, stranger: Depot, tmp_path: Path, how: str
) -> None:
    """Meanwhile the publisher has changed the file, or somebody the way to it."""
    assert site.fetch(shipped, settings=PLAIN).status == 0
    second = Site(tmp_path / "second", site.depot)
    model = shipped
    if how == "pins.yaml":
        second.store.root.mkdir(parents=True)
        (second.store.root / "pins.yaml").write_bytes((site.store.root / "pins.yaml").read_bytes())
    else:
        text = manifest_of([shipped], site.store).replace("http://", "https://")
        (tmp_path / "mirror.manifest").write_text(text)
        [read] = read_manifest(tmp_path / "mirror.manifest").values()
        files: tuple[ModelFile, ...] = tuple(replace(each, urls=shipped.files[0].urls) for each in read.files)
        model = replace(read, files=files)
    site.depot.files["origin/onnx/big.onnx"] = EVIL
    second.accepted = True
    assert second.fetch(model, settings=PLAIN).status == os.EX_CONFIG
    assert not Store(second.store.root).path(model, model.files[0]).exists()
    # The first node gives it.
    again = second.fetch(model, settings=PLAIN, extra=Extra(places=(str(site.store.root),)))
    assert (again.status, content(second, model)) == (0, TRUE)


def test_an_accepted_pin_goes_with_the_file_to_other_nodes(
    site: Site, shipped: Model, stranger: Depot, tmp_path: Path
) -> None:
    stranger.files["shipped/onnx/big.onnx"] = EVIL
    site.accepted = True
    assert site.fetch(shipped, settings=PLAIN, extra=Extra(places=(stranger.url,))).status == 0
    second = Site(tmp_path / "second", site.depot)
    second.store.root.mkdir(parents=True)
    (second.store.root / "pins.yaml").write_bytes((site.store.root / "pins.yaml").read_bytes())
    assert second.fetch(shipped, settings=PLAIN).status == os.EX_CONFIG
    assert second.fetch(shipped, settings=PLAIN, extra=Extra(places=(stranger.url,))).status == 0
    assert Pins(second.store.root).trust(shipped, shipped.files[0]) == "accepted"


@pytest.mark.parametrize("where", ["outside", "above", "chain"])
def test_a_link_on_a_strangers_disk_leads_to_nothing_of_this_machine(
    site: Site, shipped: Model, tmp_path: Path, where: str
) -> None:
    """A disk's link to what only the fetcher may read was followed, and its content served to a fleet."""
    secret = tmp_path / "secret"
    secret.write_bytes(TRUE)
    place = tmp_path / "usb/shipped/onnx"
    place.mkdir(parents=True)
    target = {"outside": str(secret), "above": "../../../secret", "chain": "hop"}[where]
    (place / "big.onnx").symlink_to(target)
    (place / "hop").symlink_to(secret)
    site.accepted = True
    settings = FetchSettings(mirrors_only=True, mirror=str(tmp_path / "usb"), keep_free_mb=0, tries=1)
    report = site.fetch(shipped, settings=settings)
    assert "big.onnx: a link that leaves" in "\n".join(report.problems)
    assert site.names() == []
    # A link that stays there is how a hub keeps its files, and a known checksum needs no rule.
    (place / "big.onnx").unlink()
    (place / "big.onnx").symlink_to("../../blob")
    (tmp_path / "usb/blob").write_bytes(TRUE)
    assert site.fetch(shipped, settings=settings, again=True).status == 0
    assert content(site, shipped) == TRUE
    site.store.remove(shipped)
    (place / "big.onnx").unlink()
    (place / "big.onnx").symlink_to(secret)
    assert site.fetch(shipped, settings=settings, again=True).status == 0

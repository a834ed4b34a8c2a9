"""Servers that would keep a model away for ever, or have it fetched for ever, if nobody took care."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from hailo_common.models.http import TransferError, Web
from hailo_common.models.settings import FetchSettings
from hailo_common.models.sources import Extra
from hailo_common.models.store import Pins
from tests.hailo_common.models import depot as bad
from tests.hailo_common.models.conftest import BIG, OTHER_BIG, SMALL, Site
from tests.hailo_common.models.depot import running

ONCE = FetchSettings(tries=1, stall_timeout_s=1, keep_free_mb=0)


def asked(site: Site) -> list[str]:
    return [ranges for path, ranges in site.depot.requests if path.startswith("/origin/onnx/big.onnx")]


@pytest.mark.parametrize("code", [400, 403, 412, 416, 501])
def test_a_resume_that_is_refused_begins_anew_from_zero(site: Site, code: int) -> None:
    model = site.toy()
    site.depot.behaviours["origin/onnx/big.onnx"] = bad.stall
    site.fetch(model, settings=ONCE)
    site.depot.behaviours["origin/onnx/big.onnx"] = bad.refuses_ranges(code)
    assert site.fetch(model, settings=ONCE).status == 0
    assert site.holds(model)
    assert asked(site)[-1] == ""


def test_a_part_is_kept_for_a_server_that_refuses_everything(site: Site) -> None:
    model = site.toy()
    site.depot.behaviours["origin/onnx/big.onnx"] = bad.stall
    site.fetch(model, settings=ONCE)
    site.depot.behaviours["origin/onnx/big.onnx"] = bad.status(403)
    assert site.fetch(model, settings=ONCE).status == 75
    del site.depot.behaviours["origin/onnx/big.onnx"]
    assert site.fetch(model, settings=ONCE).status == 0
    assert asked(site)[-1] == "bytes=350000-"


def test_an_answer_without_end_is_pinned_only_when_it_came_twice(site: Site) -> None:
    model = site.toy(stated=False)
    model = replace(model, files=(replace(model.files[0], size=None, about=1_000_000), model.files[1]))
    # Of ONNX and JSON the structure tells that something is missing; this file has none.
    blob = site.file("merges.bin", BIG, stated=False, exact=False)
    plain = site.model(blob, site.file("config.json", SMALL, stated=False), name="toy-9")
    site.depot.behaviours["origin/merges.bin"] = bad.endless(cuts=1, size=400_000)
    assert site.fetch(plain).status == 0
    assert site.store.path(plain, blob).read_bytes() == BIG
    assert [path for path, _ in site.depot.requests].count("/origin/merges.bin") == 3
    site.depot.behaviours["origin/onnx/big.onnx"] = bad.endless(cuts=1, size=400_000)
    report = site.fetch(model)
    assert "onnx/big.onnx" in "\n".join(report.problems)
    assert Pins(site.store.root).digest(model, model.files[0]) is None


def test_a_stated_checksum_needs_no_second_reading(site: Site) -> None:
    model = site.toy()
    site.depot.behaviours["origin/onnx/big.onnx"] = bad.endless(cuts=0, size=0)
    assert site.fetch(model).status == 0
    assert len(asked(site)) == 1


def test_parts_never_pile_up(site: Site) -> None:
    model = site.toy(stated=False)
    site.depot.behaviours["origin/onnx/big.onnx"] = bad.new_tag(200_000)
    for _ in range(3):
        assert site.fetch(model, settings=ONCE).status == 75
        assert len([name for name in site.names() if name.endswith(".part")]) == 1
    del site.depot.behaviours["origin/onnx/big.onnx"]
    assert site.fetch(model).status == 0
    assert site.holds(model)


def test_the_reserve_holds_while_bytes_arrive(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    model = site.toy()
    monkeypatch.setattr("hailo_common.models.download._LOOK", 100_000)
    free = iter([10**9] * 3 + [600_000] * 100)
    monkeypatch.setattr("hailo_common.models.store.Store.free_bytes", lambda store: next(free))
    report = site.fetch(model, settings=FetchSettings(keep_free_mb=1, tries=1))
    assert report.status == os.EX_TEMPFAIL
    assert "are to stay free" in report.problems[0]
    assert site.names() == [name for name in site.names() if name.endswith(".part")]
    part = next(site.store.root.rglob("*.part"))
    assert 0 < part.stat().st_size < 700_000


def test_what_is_here_already_needs_no_room(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    model = site.toy()
    site.depot.behaviours["origin/onnx/big.onnx"] = bad.stall
    site.fetch(model, settings=ONCE)
    del site.depot.behaviours["origin/onnx/big.onnx"]
    monkeypatch.setattr("hailo_common.models.store.Store.free_bytes", lambda store: 400_000)
    assert site.fetch(model, settings=ONCE).status == 0


def test_refused_content_is_not_brought_again_until_it_changes(site: Site) -> None:
    model = site.toy()
    site.depot.files["origin/onnx/big.onnx"] = OTHER_BIG
    assert site.fetch(model).status == 78
    sent = len(site.depot.requests)
    report = site.fetch(model)
    assert "still has what was refused before: gave 700001 bytes with SHA-256" in "\n".join(report.problems)
    assert report.status == 78
    # The head of the answer told.
    assert len(site.depot.requests) == sent + 1
    assert not [name for name in site.names() if name.endswith(".part")]
    # A person may insist, and a server may come to its senses.
    assert "still has" not in "\n".join(site.fetch(model, again=True).problems)
    site.depot.files["origin/onnx/big.onnx"] = BIG
    assert site.fetch(model).status == 0


def test_refused_content_without_checksum_is_remembered_too(site: Site) -> None:
    model = site.toy(stated=False)
    site.depot.files["origin/onnx/big.onnx"] = b"\x00" + BIG[1:]
    assert "gave no ONNX file" in "\n".join(site.fetch(model).problems)
    report = site.fetch(model)
    assert "still has what was refused before: gave no ONNX file" in "\n".join(report.problems)
    site.depot.files["origin/onnx/big.onnx"] = BIG
    assert site.fetch(model).status == 0


def test_a_signed_address_that_expires_leads_back_to_the_first(site: Site) -> None:
    model = site.toy()
    first, second = bad.signed("bucket", lives=1)
    site.depot.behaviours["origin/onnx/big.onnx"] = first
    site.depot.behaviours["bucket"] = second
    site.depot.files["bucket"] = BIG
    assert site.fetch(model).status == 0
    assert site.holds(model)


def test_a_proxy_that_cannot_be_used_is_named_without_its_password() -> None:
    with running() as other:
        gone = other.url.removeprefix("http://")
    web = Web(f"http://user:secret@{gone}", 2, {})
    with pytest.raises(TransferError, match=re.escape(f"the proxy http://{gone} cannot be used")) as raised:
        web.open("http://origin.invalid/file")
    assert "secret" not in str(raised.value)


def test_first_use_is_from_the_named_hosts_only(site: Site, tmp_path: Path) -> None:
    model = site.toy(stated=False)
    # The mirror's word is no publisher's.
    site.depot.files["toy-1/onnx/big.onnx"] = OTHER_BIG
    mirrored = FetchSettings(mirror=site.depot.url, keep_free_mb=0, tries=1)
    assert site.fetch(model, settings=mirrored).status == 0
    assert site.holds(model)
    pins = Pins(site.store.root)
    assert [pins.trust(model, file) for file in model.files] == ["first use, from 127.0.0.1"] * 2
    assert any("(first use, from 127.0.0.1)" in line for line in site.progress.lines)
    # Later it is that or nothing, from wherever.
    site.store.remove(model)
    site.depot.files["toy-1/onnx/big.onnx"] = BIG
    site.depot.behaviours["origin/onnx/big.onnx"] = bad.status(404)
    assert site.fetch(model, settings=mirrored).status == 0
    assert site.holds(model)


def test_a_place_that_a_command_names_needs_a_yes_for_files_without_checksum(
    site: Site, tmp_path: Path
) -> None:
    model = site.toy(stated=False)
    for file, content in zip(model.files, (OTHER_BIG, SMALL), strict=True):
        path = tmp_path / "usb" / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    assert site.fetch(model, extra=Extra(folder=tmp_path / "usb")).status == 0
    assert site.asked == ["onnx/big.onnx", "config.json"]
    assert "--accept takes them from the place that you named" in "\n".join(site.progress.lines)
    assert site.store.path(model, model.files[0]).read_bytes() == BIG
    other = site.model(*model.files, name="toy-6")
    (site.store.root / "pins.yaml").unlink()
    site.store.remove(model)
    site.accepted = True
    assert site.fetch(other, extra=Extra(folder=tmp_path / "usb")).status == 0
    assert site.store.path(other, other.files[0]).read_bytes() == OTHER_BIG
    assert Pins(site.store.root).trust(other, other.files[0]) == "accepted"


def test_a_redirect_to_another_host_is_not_followed_for_a_first_use(site: Site) -> None:
    model = site.toy(stated=False)
    elsewhere = site.depot.url.replace("127.0.0.1", "localhost") + "/elsewhere"
    site.depot.files["elsewhere"] = BIG
    site.depot.behaviours["origin/onnx/big.onnx"] = bad.redirect(elsewhere)
    report = site.fetch(model)
    assert "leads to localhost, which the manifest does not name" in "\n".join(report.problems)
    assert not [path for path, _ in site.depot.requests if path == "/elsewhere"]
    named = replace(model, files=tuple(replace(file, hosts=("localhost",)) for file in model.files))
    assert site.fetch(named).status == 0
    # What has a checksum may come from anywhere.
    site.store.remove(model)
    stated = site.model(site.file("onnx/big.onnx", BIG), name="toy-5")
    assert site.fetch(stated).status == 0

"""Whatever a server does: whole files under their names, or a clear message and none."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from pathlib import Path

import pytest

from hailo_common.models.fetch import Report
from hailo_common.models.settings import FetchSettings
from hailo_common.models.sources import Extra
from hailo_common.models.store import Pins, Store
from tests.hailo_common.models import depot as bad
from tests.hailo_common.models.conftest import BIG, OTHER_BIG, SMALL, Site
from tests.hailo_common.models.depot import Behaviour, running


def test_a_fetch_and_a_second_one_that_asks_nothing(site: Site) -> None:
    model = site.toy()
    assert site.fetch(model).status == 0
    assert site.holds(model)
    assert (site.store.root / "toy-1/config.json").stat().st_mode & 0o777 == 0o644
    assert site.depot.agents[0].startswith("hailo-fetch/")
    asked = len(site.depot.requests)
    assert site.fetch(model).status == 0
    assert len(site.depot.requests) == asked
    assert site.progress.lines[-1] == "toy-1: complete"


REFUSED: list[tuple[str, Behaviour, str, int]] = [
    ("page", bad.page, "answers with a web page; is a login page or a proxy in between?", 75),
    ("disguise", bad.page_in_disguise, "gave 700001 bytes with SHA-256 ", 78),
    ("short", bad.short, "has a file of 350000 bytes instead of 700001", 78),
    ("wrong", bad.wrong, "instead of", 78),
    ("longer", bad.longer, "sends more than the file can have", 78),
    ("compressed", bad.compressed, "compresses what it sends", 78),
    ("404", bad.status(404), "does not have the file (HTTP status 404)", 78),
    ("401", bad.status(401), "wants a login (HTTP status 401)", 75),
    ("500", bad.status(500), "answers with an error (HTTP status 500) (tried 3 times)", 75),
    ("stall", bad.stall, "does not answer (any more)", 75),
    ("drip", bad.drip, "almost no progress for 1 s", 75),
    ("silent", bad.silent, "does not answer (any more) (tried 3 times)", 75),
    ("circle", bad.redirect("/origin/onnx/big.onnx"), "redirected in a circle", 78),
    ("far", bad.redirect_onwards, "redirected more than 5 times", 78),
    ("file", bad.redirect("file:///etc/passwd"), "redirected to something that is not a URL", 78),
    ("nowhere", bad.redirect("http://[::1"), "redirected to something that is not a URL", 78),
]


@pytest.mark.parametrize(
    ("behaviour", "message", "status"), [c[1:] for c in REFUSED], ids=[c[0] for c in REFUSED]
)
def test_misbehaving_servers(site: Site, behaviour: Behaviour, message: str, status: int) -> None:
    model = site.toy()
    site.depot.behaviours["origin/onnx/big.onnx"] = behaviour
    report = site.fetch(model)
    told = "\n".join(report.problems)
    assert message in told
    assert f"toy-1: onnx/big.onnx: {site.depot.url}/origin/onnx/big.onnx: " in told
    assert "toy-1: still missing: onnx/big.onnx (700 kB)" in told
    assert report.status == status
    assert [name for name in site.names() if not name.endswith(".part")] == ["toy-1/config.json"]
    # The server comes to its senses.
    del site.depot.behaviours["origin/onnx/big.onnx"]
    assert site.fetch(model).status == 0
    assert site.holds(model)


def test_a_server_that_is_not_there(site: Site) -> None:
    model = site.toy()
    with running() as other:
        gone = other.url
    settings = FetchSettings(mirror=gone, mirrors_only=True, tries=2, stall_timeout_s=1, keep_free_mb=0)
    report = site.fetch(model, settings=settings)
    assert f"{gone}/toy-1/config.json: cannot be reached (tried 2 times)" in "\n".join(report.problems)
    assert report.status == os.EX_TEMPFAIL
    assert report.incomplete == ["toy-1"]


def test_a_broken_transfer_goes_on_where_it_stopped(site: Site) -> None:
    model = site.toy()
    site.depot.behaviours["origin/onnx/big.onnx"] = bad.cut(200_000)
    assert site.fetch(model).status == 0
    assert site.holds(model)
    ranges = [asked for path, asked in site.depot.requests if path.endswith("big.onnx")]
    assert ranges == ["", "bytes=200000-", "bytes=400000-", "bytes=600000-"]


def test_a_later_run_goes_on_too(site: Site) -> None:
    model = site.toy()
    site.depot.behaviours["origin/onnx/big.onnx"] = bad.stall
    assert site.fetch(model, settings=FetchSettings(tries=1, stall_timeout_s=1, keep_free_mb=0)).status == 75
    [part] = [name for name in site.names() if name.endswith(".part")]
    assert (site.store.root / part).stat().st_size == 350_000
    del site.depot.behaviours["origin/onnx/big.onnx"]
    assert site.fetch(model).status == 0
    assert site.depot.requests[-1] == ("/origin/onnx/big.onnx", "bytes=350000-")
    assert site.holds(model)


@pytest.mark.parametrize("behaviour", [None, bad.no_ranges])
def test_a_spoilt_beginning_is_noticed(site: Site, behaviour: Behaviour | None) -> None:
    model = site.toy()
    if behaviour:
        site.depot.behaviours["origin/onnx/big.onnx"] = behaviour
    file = model.files[0]
    assert file.sha256
    part = site.store.part(model, file, file.sha256)
    part.parent.mkdir(parents=True)
    part.write_bytes(b"\x00" * 1000)
    assert site.fetch(model).status == 0
    assert site.holds(model)


@pytest.mark.parametrize("size", [700_001, 700_002, 1_000_000])
def test_a_part_that_is_whole_or_longer(site: Site, size: int) -> None:
    model = site.toy()
    file = model.files[0]
    assert file.sha256
    part = site.store.part(model, file, file.sha256)
    part.parent.mkdir(parents=True)
    part.write_bytes(BIG.ljust(size, b"\x00"))
    assert site.fetch(model).status == 0
    assert site.holds(model)
    asked = [path for path, _ in site.depot.requests]
    assert ("/origin/onnx/big.onnx" in asked) == (size > 700_001)


def test_errors_that_pass(site: Site) -> None:
    model = site.toy()
    site.depot.behaviours["origin/onnx/big.onnx"] = bad.status(503, times=2)
    assert site.fetch(model).status == 0
    assert site.holds(model)


def test_redirects_are_followed_and_mirrors_tried_first(site: Site) -> None:
    model = site.toy()
    site.depot.files["toy-1/config.json"] = SMALL
    site.depot.files["elsewhere"] = BIG
    site.depot.behaviours["toy-1/onnx/big.onnx"] = bad.redirect("../../elsewhere")
    settings = FetchSettings(mirror=f"{site.depot.url}/", keep_free_mb=0)
    assert site.fetch(model, settings=settings).status == 0
    assert site.holds(model)
    assert not [path for path, _ in site.depot.requests if "origin" in path]


def test_a_bad_mirror_costs_nothing_but_time(site: Site) -> None:
    model = site.toy()
    site.depot.files["toy-1/onnx/big.onnx"] = BIG
    site.depot.behaviours["toy-1/onnx/big.onnx"] = bad.wrong
    settings = FetchSettings(mirror=site.depot.url, peers=("/nowhere",), keep_free_mb=0)
    report = site.fetch(model, settings=settings)
    assert (report.status, report.problems) == (0, [])
    assert site.holds(model)


def test_a_folder_or_another_store_as_the_only_source(site: Site, tmp_path: Path) -> None:
    model = site.toy()
    settings = FetchSettings(mirrors_only=True, mirror=str(tmp_path / "usb"), keep_free_mb=0)
    report = site.fetch(model, settings=settings)
    assert f"{tmp_path}/usb/toy-1/config.json: cannot be read: No such file or directory" in "\n".join(
        report.problems
    )
    for file, content in zip(model.files, (BIG, SMALL), strict=True):
        path = tmp_path / "usb/toy-1" / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    assert site.fetch(model, settings=settings).status == 0
    assert site.holds(model)
    assert site.depot.requests == []


def test_models_share_a_file(site: Site) -> None:
    first = site.toy()
    second = site.model(*first.files, name="toy-2")
    assert site.fetch(first).status == 0
    asked = len(site.depot.requests)
    assert site.fetch(second, first).status == 0
    assert len(site.depot.requests) == asked
    inodes = {(site.store.path(model, first.files[0])).stat().st_ino for model in (first, second)}
    assert len(inodes) == 1
    site.store.remove(first)
    assert site.holds(second)


def test_a_changed_file_is_fetched_again(site: Site) -> None:
    model = site.toy()
    site.fetch(model)
    path = site.store.path(model, model.files[0])
    path.write_bytes(b"\x00" + BIG[1:])
    assert site.fetch(model).status == 0
    assert site.holds(model)
    # The same size, time and inode: only reading it tells.
    status = path.stat()
    with path.open("r+b") as file:
        file.write(b"\x01")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert site.fetch(model).status == 0
    assert not site.holds(model)
    assert site.fetch(model, rehash=True).status == 0
    assert site.holds(model)


def test_with_stated_checksums_required_others_wait_for_a_yes(site: Site) -> None:
    model = site.toy(stated=False)
    strict = FetchSettings(require_stated_digests=True, keep_free_mb=0)
    report = site.fetch(model, settings=strict)
    assert report.status == os.EX_CONFIG
    assert "hailo-ctl models fetch --accept toy-1" in report.problems[0]
    assert (site.depot.requests, site.names()) == ([], [])
    assert site.asked == ["onnx/big.onnx", "config.json"]
    site.accepted = True
    assert site.fetch(model, settings=strict).status == 0
    assert site.holds(model)
    assert Pins(site.store.root).digest(model, model.files[1]) == hashlib.sha256(SMALL).hexdigest()
    assert Pins(site.store.root).trust(model, model.files[1]) == "accepted"
    site.accepted = False
    assert site.fetch(model, settings=strict).status == 0


def test_what_was_pinned_once_is_what_comes_later(site: Site) -> None:
    model = site.toy(stated=False)
    site.accepted = True
    site.fetch(model)
    site.store.remove(model)
    site.depot.behaviours["origin/onnx/big.onnx"] = bad.wrong
    report = site.fetch(model)
    assert report.status == os.EX_CONFIG
    assert site.names() == ["toy-1/config.json"]
    assert re.search(r"gave 700001 bytes with SHA-256 \w{64} instead of \w{64}", report.problems[0])


@pytest.mark.parametrize("behaviour", [bad.page, bad.page_in_disguise, bad.longer])
def test_nonsense_is_not_pinned(site: Site, behaviour: Behaviour) -> None:
    model = site.toy(stated=False)
    site.accepted = True
    site.depot.behaviours["origin/onnx/big.onnx"] = behaviour
    report = site.fetch(model)
    assert report.status in (os.EX_TEMPFAIL, os.EX_CONFIG)
    assert Pins(site.store.root).digest(model, model.files[0]) is None
    assert site.names() == ["toy-1/config.json"]


def test_a_transfer_without_checksum_goes_on_only_with_the_same_file(site: Site) -> None:
    model = site.toy(stated=False)
    site.accepted = True
    site.depot.behaviours["origin/onnx/big.onnx"] = bad.stall
    assert site.fetch(model, settings=FetchSettings(tries=1, stall_timeout_s=1, keep_free_mb=0)).status == 75
    del site.depot.behaviours["origin/onnx/big.onnx"]
    asked = len(site.depot.requests)
    assert site.fetch(model).status == 0
    assert ("/origin/onnx/big.onnx", "bytes=350000-") in site.depot.requests[asked:]
    assert site.holds(model)
    # Another content under the same URL: nothing of the old is used.
    other = site.model(site.file("onnx/two.onnx", BIG, stated=False), name="toy-3")
    site.depot.behaviours["origin/onnx/two.onnx"] = bad.stall
    site.fetch(other, settings=FetchSettings(tries=1, stall_timeout_s=1, keep_free_mb=0))
    del site.depot.behaviours["origin/onnx/two.onnx"]
    site.depot.files["origin/onnx/two.onnx"] = OTHER_BIG
    assert site.fetch(other).status == 0
    assert site.store.path(other, other.files[0]).read_bytes() == OTHER_BIG


def test_the_publishers_own_checksum_counts(site: Site) -> None:
    model = site.toy(stated=False)
    site.accepted = True

    def lie(handler: bad.Handler, content: bytes) -> None:
        handler.give(content, extra={"X-Linked-ETag": f'"{"0" * 64}"'})

    site.depot.behaviours["origin/onnx/big.onnx"] = lie
    assert site.fetch(model).status == os.EX_CONFIG
    assert site.names() == ["toy-1/config.json"]


@pytest.mark.parametrize("strict", [False, True])
def test_files_that_somebody_put_there_are_taken(site: Site, strict: bool) -> None:
    model = site.toy(stated=False)
    settings = FetchSettings(require_stated_digests=strict, keep_free_mb=0)
    for file, content in zip(model.files, (BIG, SMALL), strict=True):
        path = site.store.path(model, file)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    if strict:
        assert site.fetch(model, settings=settings).status == os.EX_CONFIG
        site.accepted = True
    assert site.fetch(model, settings=settings).status == 0
    assert site.depot.requests == []
    assert site.holds(model)
    assert Pins(site.store.root).trust(model, model.files[0]) == ("accepted" if strict else "found")


def test_too_little_room_is_told_before_anything_is_fetched(site: Site) -> None:
    model = site.toy()
    report = site.fetch(model, settings=FetchSettings(keep_free_mb=1_000_000))
    assert re.search(
        r"needs 700 kB in .*, where .* are free and 1.05 TB are to stay free; make room for",
        report.problems[0],
    )
    assert report.status == os.EX_TEMPFAIL
    assert site.depot.requests == []


def test_two_at_once_fetch_once(site: Site) -> None:
    model = site.toy()
    site.depot.behaviours["origin/onnx/big.onnx"] = bad.slowly(0.3)
    reports: list[Report] = []
    threads = [threading.Thread(target=lambda: reports.append(site.fetch(model))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [report.status for report in reports] == [0, 0, 0]
    assert len(site.depot.requests) == 2
    assert site.holds(model)


def test_leftovers_go(site: Site) -> None:
    model = site.toy()
    folder = site.store.folder(model)
    (folder / "onnx").mkdir(parents=True)
    for name in (".config.json.0123456789abcdef.part", "onnx/.gone.onnx.00.part", "..verified.json.tmp"):
        (folder / name).write_bytes(b"left")
    assert site.fetch(model).status == 0
    assert site.holds(model)


@pytest.mark.parametrize("place", ["", "no_proxy"])
def test_proxies(site: Site, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """The depot answers absolute URLs as a proxy does; the origin's name exists nowhere."""
    from hailo_common.models.http import TransferError, Web  # noqa: PLC0415

    site.depot.files["file"] = b"content"
    environ = {"http_proxy": site.depot.url, "no_proxy": "origin.invalid" if place else ""}
    web = Web("auto", 2, environ)
    if place:
        with pytest.raises(TransferError, match="has no address"):
            web.open("http://origin.invalid/file")
        return
    body = web.open("http://origin.invalid/file")
    assert body.read() == b"content"
    body.close()
    assert site.depot.requests == [("http://origin.invalid/file", "")]
    assert Web(site.depot.url, 2, {}).open("http://origin.invalid/file").read() == b"content"


def test_an_extra_place_comes_first(site: Site, tmp_path: Path) -> None:
    model = site.toy()
    (tmp_path / "files/onnx").mkdir(parents=True)
    (tmp_path / "files/onnx/big.onnx").write_bytes(BIG)
    assert site.fetch(model, extra=Extra(folder=tmp_path / "files")).status == 0
    assert [path for path, _ in site.depot.requests] == ["/origin/config.json"]


def test_the_lock_is_not_waited_for_for_ever(site: Site, tmp_path: Path) -> None:
    from hailo_common.models.store import StoreBusyError  # noqa: PLC0415

    with site.store.locked(1), pytest.raises(StoreBusyError), Store(site.store.root).locked(0.3):
        pass

"""Attacks on the repository of a fleet."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fleet.repository.keys import Keys
from fleet.repository.repository import Repository
from tests.fleet.fleet import URL, Fleet


@contextmanager
def put_back(machines: Fleet) -> Iterator[None]:
    """Afterwards the repository is what it was before."""
    kept = machines.published.with_name("kept")
    shutil.copytree(machines.published, kept, symlinks=True)
    try:
        yield
    finally:
        shutil.rmtree(machines.published)
        kept.rename(machines.published)


def _change(machines: Fleet, pattern: str, change: Callable[[bytes], bytes]) -> None:
    for path in machines.published.glob(pattern):
        before = path.stat().st_mtime
        path.write_bytes(change(path.read_bytes()))
        # A change within the second of the last one is none for a web server.
        os.utime(path, (before - 10, before - 10))


def _package(machines: Fleet) -> str:
    _change(machines, "pool/*.deb", lambda data: data[:-1] + b"?")
    return "Hash Sum mismatch"


def _manipulated(machines: Fleet) -> str:
    _change(machines, "states/*/*Release", lambda data: data.replace(b"Hailo", b"Evill"))
    return "has been manipulated"


def _unsigned(machines: Fleet) -> str:
    for name in ("InRelease", "Release.gpg"):
        for path in machines.published.glob(f"states/*/{name}"):
            path.unlink()
    return "is (not|no longer) signed"


def _wrong_key(machines: Fleet) -> str:
    stranger = Keys(machines.keys.folder.with_name("stranger"))
    stranger.create("Stranger")
    for name in ("history.json", "sums.json"):
        shutil.copy(machines.keys.folder / name, stranger.folder)
    Repository(machines.published, stranger, url=URL).refresh()
    return "sqv returned an error code"


def _expired(machines: Fleet) -> str:
    Repository(machines.published, machines.keys, url=URL, valid_days=-1).refresh()
    return "expired"


def _old_index(machines: Fleet) -> str:
    present = (machines.published / "dists/stable").resolve()
    oldest = min(machines.published.glob("states/stable-*"))
    shutil.rmtree(present)
    shutil.copytree(oldest, present)
    # apt ignores it without a word.
    return ""


ATTACKS = {
    "a changed package": _package,
    "a changed Release": _manipulated,
    "no signature": _unsigned,
    "another key": _wrong_key,
    "an expired Release": _expired,
    "an old index": _old_index,
}
"""What somebody does to the repository; each returns apt's words, none where apt keeps silent."""

"""What was published when, and with which sums: what promotion and rollback work on.

It lies with the keys (`history.json`, `sums.json`, `url`), not in the folder that a web server shows: whoever
may write there would choose what is signed next.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fleet.repository.tools import RepositoryError, newer, write

_URL = re.compile(r"(https?|file)://[A-Za-z0-9._~:/\[\]@%+-]{1,500}")
CODENAMES = ("candidate", "stable")
_OLDER_VERSIONS = 3
"""A node that was off for a while has an older version than the others, and can go back to it."""


@dataclass(frozen=True, order=True)
class Package:
    """What one package file is."""

    name: str
    version: str
    architecture: str

    @property
    def file(self) -> str:
        """Its name in the pool; an epoch's colon would need quoting in URLs."""
        return f"{self.name}_{self.version.replace(':', '%3a')}_{self.architecture}.deb"

    @property
    def series(self) -> tuple[str, str]:
        """What all versions of it have in common."""
        return self.name, self.architecture


def newest(packages: Iterable[Package]) -> list[Package]:
    """The highest version of each package and architecture."""
    best: dict[tuple[str, str], Package] = {}
    for package in packages:
        other = best.get(package.series)
        if other is None or newer(package.version, other.version):
            best[package.series] = package
    return sorted(best.values())


@dataclass(frozen=True)
class Publication:
    """One state of one codename."""

    serial: int
    codename: str
    date: int
    """Seconds since 1970."""
    reason: str
    packages: tuple[Package, ...]
    """What nodes shall have. Some older versions are listed too, for nodes that go back alone."""
    percent: int = 100
    """Share of the nodes that take what is new in this publication."""
    back_to: int | None = None
    """Of a rollback: the serial of the state that this one repeats. What came after it is withdrawn."""


class History:
    """All publications, oldest first, and the SHA-256 of each file ever published; kept in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._path, self._sums, self._url = (folder / name for name in ("history.json", "sums.json", "url"))
        self.all: list[Publication] = _read(self._path) if self._path.exists() else []
        self.sums: dict[str, str] = json.loads(self._sums.read_bytes()) if self._sums.exists() else {}

    @property
    def url(self) -> str:
        """Where nodes find the repository; empty before it was first said."""
        return self._url.read_text(encoding="utf-8").strip() if self._url.exists() else ""

    def set_url(self, url: str) -> None:
        """Remember the URL, which goes into a script: RepositoryError for what is none."""
        if not _URL.fullmatch(url):
            raise RepositoryError(f"{url!r} is not a URL such as https://repository.lan/hailo")
        write(self._url, f"{url}\n".encode())

    def note_sum(self, file: str, digest: str) -> None:
        """Remember what a file is; RepositoryError if it was published as another."""
        if self.sums.setdefault(file, digest) != digest:
            raise RepositoryError(
                f"{file} is published already with other content; build it with a higher version"
            )

    def check_sum(self, file: str, digest: str) -> None:
        """RepositoryError for a file of the pool that is not what was published."""
        if file not in self.sums:
            raise RepositoryError(f"{file}: its sum was never noted; publish the file again")
        if self.sums[file] != digest:
            raise RepositoryError(
                f"{file} was changed since it was published: put the right file back; see who may write there"
            )

    def latest(self, codename: str) -> Publication | None:
        """What a codename is now."""
        return next((each for each in reversed(self.all) if each.codename == codename), None)

    def find(self, codename: str, serial: int | None) -> Publication:
        """An earlier state: by serial, else the last one that has other packages and is not withdrawn."""
        own = [each for each in self.all if each.codename == codename]
        if serial is not None:
            fitting = [each for each in own if each.serial == serial]
        else:
            fitting = [each for each in _not_withdrawn(own) if each.packages != own[-1].packages]
        if not fitting:
            raise RepositoryError(f"{codename} has no such earlier state; `list` shows all")
        return fitting[-1]

    def add(
        self,
        codename: str,
        date: int,
        reason: str,
        packages: Iterable[Package],
        *,
        percent: int = 100,
        back_to: int | None = None,
    ) -> Publication:
        """Note a new state; `save` makes it last."""
        serial = self.all[-1].serial + 1 if self.all else 1
        publication = Publication(serial, codename, date, reason, tuple(sorted(packages)), percent, back_to)
        self.all.append(publication)
        return publication

    def save(self) -> None:
        """Write the list."""
        rows = [
            {**vars(each), "packages": [[p.name, p.version, p.architecture] for p in each.packages]}
            for each in self.all
        ]
        write(self._path, (json.dumps(rows, indent=1) + "\n").encode())
        write(self._sums, (json.dumps(self.sums, indent=1, sort_keys=True) + "\n").encode())

    def before(self, publication: Publication) -> list[Package]:
        """The last lower versions that this codename had of each package: where a node can go back to.

        None that was withdrawn: a node that refuses a bad version takes the highest other one that is listed.
        """
        own = [*self._earlier(publication), publication]
        earlier = [package for each in reversed(_not_withdrawn(own)) for package in each.packages]
        return [older for package in publication.packages for older in _last_below(package, earlier)]

    def fresh(self, publication: Publication) -> set[Package]:
        """What this publication has and the last state with other packages had not; none in a first state."""
        others = [each for each in self._earlier(publication) if each.packages != publication.packages]
        return set(publication.packages) - set(others[-1].packages) if others else set()

    def _earlier(self, publication: Publication) -> list[Publication]:
        """The states of the same codename before this one."""
        own = [each for each in self.all if each.codename == publication.codename]
        return [each for each in own if each.serial < publication.serial]


def _not_withdrawn(states: Iterable[Publication]) -> list[Publication]:
    """The states of one codename that no later rollback took back."""
    kept: list[Publication] = []
    for each in states:
        if each.back_to is not None:
            kept = [earlier for earlier in kept if earlier.serial <= each.back_to]
        kept.append(each)
    return kept


def _last_below(package: Package, earlier: Sequence[Package]) -> list[Package]:
    same = dict.fromkeys(each for each in earlier if each.series == package.series)
    lower = [each for each in same if newer(package.version, each.version)]
    return lower[:_OLDER_VERSIONS]


def _read(path: Path) -> list[Publication]:
    rows = json.loads(path.read_bytes())
    return [Publication(**{**row, "packages": tuple(Package(*p) for p in row["packages"])}) for row in rows]

"""From package files to signed indexes: the pool that keeps the files, and the states that list them.

A state of a codename is a folder of its own, and one symbolic link switches to it: a client sees the old
state or the new one, never half of each. Index files are also found under their hash (`by-hash`), those of
the states before too, so that a client that came during the switch finishes its update.
"""

from __future__ import annotations

import hashlib
import lzma
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from email.utils import formatdate
from pathlib import Path

from fleet.repository.history import History, Package, Publication
from fleet.repository.keys import KEYRING, Keys
from fleet.repository.tools import RepositoryError, run, write

ARCHITECTURES = ("amd64", "arm64")
ORIGIN = "Hailo appliance"
"""Never changes: apt refuses a repository that changes it."""
_STATES_KEPT = 4
_DAY_S = 86400


class Pool:
    """The package files of a repository, under names that never change their content."""

    def __init__(self, repository: Path, history: History, cache: Path) -> None:
        """`cache` is a folder that no web server shows: what apt-ftparchive keeps there is believed."""
        self._repository, self._history, self._cache = repository, history, cache
        self._folder = repository / "pool"

    def add(self, paths: Iterable[Path]) -> list[Package]:
        """Take package files in. A version that is here already must be the same file, byte for byte."""
        self._folder.mkdir(parents=True, exist_ok=True)
        packages = []
        for path in paths:
            package = _read_package(path)
            if package.architecture not in (*ARCHITECTURES, "all"):
                raise RepositoryError(f"{path}: architecture {package.architecture} is not served here")
            self._take(path, package.file)
            packages.append(package)
        return packages

    def _take(self, path: Path, name: str) -> None:
        data, target = path.read_bytes(), self._folder / name
        self._history.note_sum(name, hashlib.sha256(data).hexdigest())
        if not target.exists() or target.is_symlink() or target.read_bytes() != data:
            write(target, data)

    def check(self, packages: Iterable[Package]) -> None:
        """RepositoryError where a file is not what was published: only that is signed."""
        for package in packages:
            path = self._folder / package.file
            if path.is_symlink() or not path.is_file():
                raise RepositoryError(f"the pool lacks {package.file}")
            with path.open("rb") as file:
                self._history.check_sum(package.file, hashlib.file_digest(file, "sha256").hexdigest())

    def adopt(self) -> int:
        """Believe the files that lie here, once; returns how many."""
        files = sorted(self._folder.glob("*.deb"))
        for path in files:
            self._history.note_sum(path.name, hashlib.sha256(path.read_bytes()).hexdigest())
        return len(files)

    def stanzas(self) -> dict[Package, str]:
        """The `Packages` stanza of every file, with SHA-256 and no weaker checksum."""
        cache = ("--db", str(self._cache / "apt-ftparchive.db"))
        output = run("apt-ftparchive", *_only_sha256(""), *cache, "packages", "pool", cwd=self._repository)
        stanzas = output.decode().strip().split("\n\n")
        return {_package_of(stanza): stanza for stanza in stanzas if stanza}


class Publisher:
    """Publishes states below one folder with one set of keys."""

    def __init__(self, repository: Path, keys: Keys, history: History, valid_days: int = 0) -> None:
        self._repository, self._keys, self._history = repository, keys, history
        self._valid_days = valid_days
        self._states = repository / "states"

    def publish(self, publication: Publication) -> None:
        """Make a state of the history the present one of its codename."""
        name = f"{publication.codename}-{publication.serial:06}"
        folder = self._states / f".{name}.new"
        shutil.rmtree(folder, ignore_errors=True)
        indices = self._write_indices(folder, publication)
        self._write_release(folder, publication)
        self._add_hashes(folder, publication.codename, indices)
        final = self._states / name
        shutil.rmtree(final, ignore_errors=True)
        folder.rename(final)
        self._switch(publication.codename, name)
        self._prune(publication.codename)

    def _write_indices(self, folder: Path, publication: Publication) -> list[Path]:
        stanzas = self._stanzas(publication)
        written = []
        for architecture in ARCHITECTURES:
            chosen = sorted(each for each in stanzas if each.architecture in (architecture, "all"))
            text = "".join(stanzas[each] for each in chosen).encode()
            path = folder / "main" / f"binary-{architecture}" / "Packages"
            write(path, text)
            write(path.with_suffix(".xz"), lzma.compress(text))
            written += [path, path.with_suffix(".xz")]
        return written

    def _stanzas(self, publication: Publication) -> Mapping[Package, str]:
        """What a state lists, with the share of the nodes that shall take what is new in it."""
        listed = [*publication.packages, *self._history.before(publication)]
        files = Pool(self._repository, self._history, self._keys.folder)
        files.check(listed)
        pool = files.stanzas()
        for package in listed:
            if f"\nSHA256: {self._history.sums[package.file]}" not in pool.get(package, ""):
                raise RepositoryError(f"{package.file} changed while its index was written")
        fresh = self._history.fresh(publication) if publication.percent < 100 else set()
        field = f"\nPhased-Update-Percentage: {publication.percent}"
        # New keys are for everybody: a node without them could not take the next state.
        phased = {each for each in fresh if each.name != KEYRING}
        return {each: f"{pool[each]}{field if each in phased else ''}\n\n" for each in listed}

    def _write_release(self, folder: Path, publication: Publication) -> None:
        output = run("apt-ftparchive", *_only_sha256("Release::"), "release", ".", cwd=folder).decode()
        fields = "".join(f"{name}: {value}\n" for name, value in self._fields(publication).items())
        release = (fields + output[output.index("SHA256:") :]).encode()
        signed, signature = self._keys.sign(release)
        for file, data in (("Release", release), ("InRelease", signed), ("Release.gpg", signature)):
            write(folder / file, data)
            _set_later(folder / file, self._repository / "dists" / publication.codename / file)

    def _fields(self, publication: Publication) -> Mapping[str, str]:
        fields = {
            "Origin": ORIGIN,
            "Label": ORIGIN,
            "Suite": publication.codename,
            "Codename": publication.codename,
            "Version": str(publication.serial),
            "Date": _date(publication.date),
            "Architectures": " ".join(ARCHITECTURES),
            "Components": "main",
            "Acquire-By-Hash": "yes",
            "Description": f"State {publication.serial}: {publication.reason}",
        }
        if self._valid_days:
            fields["Valid-Until"] = _date(publication.date + self._valid_days * _DAY_S)
        return fields

    def _add_hashes(self, folder: Path, codename: str, indices: Sequence[Path]) -> None:
        recent = self._recent(codename)[-_STATES_KEPT:]
        earlier = [path for state in recent for path in state.glob("main/*/Packages*")]
        for path in [*earlier, *indices]:
            hashes = folder / "main" / path.parent.name / "by-hash" / "SHA256"
            hashes.mkdir(parents=True, exist_ok=True)
            link = hashes / hashlib.sha256(path.read_bytes()).hexdigest()
            if not link.exists():
                link.hardlink_to(path)

    def _switch(self, codename: str, name: str) -> None:
        link = self._repository / "dists" / codename
        link.parent.mkdir(exist_ok=True)
        new = link.with_name(f".{codename}.new")
        new.unlink(missing_ok=True)
        new.symlink_to(os.path.join("..", "states", name))  # noqa: PTH118
        new.rename(link)

    def _prune(self, codename: str) -> None:
        for folder in self._recent(codename)[:-_STATES_KEPT]:
            shutil.rmtree(folder)

    def _recent(self, codename: str) -> list[Path]:
        return sorted(self._states.glob(f"{codename}-*"))


def _read_package(path: Path) -> Package:
    """Name, version and architecture of a package file."""
    output = run("dpkg-deb", "--show", "--showformat=${Package} ${Version} ${Architecture}", str(path))
    name, version, architecture = output.decode().split()
    return Package(name, version, architecture)


def _package_of(stanza: str) -> Package:
    lines = (line for line in stanza.splitlines() if ": " in line and not line.startswith(" "))
    fields = dict(line.split(": ", 1) for line in lines)
    return Package(fields["Package"], fields["Version"], fields["Architecture"])


def _only_sha256(section: str) -> list[str]:
    """Options that leave the other checksums out."""
    options = (f"APT::FTPArchive::{section}{name}=false" for name in ("MD5", "SHA1", "SHA512"))
    return [word for option in options for word in ("-o", option)]


def _set_later(path: Path, present: Path) -> None:
    """HTTP knows whole seconds: a client that asks "modified since?" must not take two states for one."""
    if present.exists():
        seconds = max(int(path.stat().st_mtime), int(present.stat().st_mtime) + 1)
        os.utime(path, (seconds, seconds))


def _date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True).replace("GMT", "UTC")

"""Writes one state of one codename and switches to it: a folder of its own, then one symbolic link.

A client sees the old state or the new one, never half of each. Index files are also found under their hash
(`by-hash`), those of the states before too, so that a client that came during the switch finishes its update.
"""

from __future__ import annotations

import hashlib
import lzma
import os
import shutil
from collections.abc import Iterable
from email.utils import formatdate
from pathlib import Path

from fleet.repository.history import History, Publication
from fleet.repository.keyring import NAME
from fleet.repository.keys import Keys
from fleet.repository.pool import ARCHITECTURES, Pool
from fleet.repository.tools import RepositoryError, run, write

ORIGIN = "Hailo appliance"
"""Never changes: apt refuses a repository that changes it."""
_KEEP = 4
_SHA256_ONLY = [
    word for name in ("MD5", "SHA1", "SHA512") for word in ("-o", f"APT::FTPArchive::Release::{name}=false")
]


class Publisher:
    """Publishes below one folder with one set of keys."""

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
        release = self._release(folder, publication)
        signed, signature = self._keys.sign(release)
        for file, data in (("Release", release), ("InRelease", signed), ("Release.gpg", signature)):
            write(folder / file, data)
        self._add_hashes(folder, publication.codename, indices)
        final = self._states / name
        shutil.rmtree(final, ignore_errors=True)
        folder.rename(final)
        self._switch(publication.codename, name)
        self._prune(publication.codename)

    def _write_indices(self, folder: Path, publication: Publication) -> list[Path]:
        stanzas = Pool(self._repository).stanzas()
        listed = [*publication.packages, *self._history.before(publication)]
        missing = [package.file for package in listed if package not in stanzas]
        if missing:
            raise RepositoryError(f"the pool lacks {', '.join(missing)}")
        # New keys are for everybody: a node without them could not take the next state.
        fresh = {each for each in self._history.fresh(publication) if each.name != NAME}
        written = []
        for architecture in ARCHITECTURES:
            chosen = [each for each in listed if each.architecture in (architecture, "all")]
            text = "".join(
                _stanza(stanzas[each], publication.percent if each in fresh else 100)
                for each in sorted(chosen)
            )
            path = folder / "main" / f"binary-{architecture}" / "Packages"
            write(path, text.encode())
            write(path.with_suffix(".xz"), lzma.compress(text.encode()))
            written += [path, path.with_suffix(".xz")]
        return written

    def _release(self, folder: Path, publication: Publication) -> bytes:
        fields = {
            "Origin": ORIGIN,
            "Label": ORIGIN,
            "Suite": publication.codename,
            "Codename": publication.codename,
            "Version": str(publication.serial),
            "Date": formatdate(publication.date, usegmt=True).replace("GMT", "UTC"),
            "Architectures": " ".join(ARCHITECTURES),
            "Components": "main",
            "Acquire-By-Hash": "yes",
            "Description": f"State {publication.serial}: {publication.reason}",
        }
        if self._valid_days:
            end = formatdate(publication.date + self._valid_days * 86400, usegmt=True)
            fields["Valid-Until"] = end.replace("GMT", "UTC")
        told = run("apt-ftparchive", *_SHA256_ONLY, "release", ".", cwd=folder).decode()
        sums = told[told.index("SHA256:") :]
        return ("".join(f"{name}: {value}\n" for name, value in fields.items()) + sums).encode()

    def _add_hashes(self, folder: Path, codename: str, indices: Iterable[Path]) -> None:
        earlier = [
            path for state in self._recent(codename)[-_KEEP:] for path in state.glob("main/*/Packages*")
        ]
        for path in [*earlier, *indices]:
            place = folder / "main" / path.parent.name / "by-hash" / "SHA256"
            place.mkdir(parents=True, exist_ok=True)
            link = place / hashlib.sha256(path.read_bytes()).hexdigest()
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
        for folder in self._recent(codename)[:-_KEEP]:
            shutil.rmtree(folder)

    def _recent(self, codename: str) -> list[Path]:
        return sorted(self._states.glob(f"{codename}-*"))


def _stanza(text: str, percent: int) -> str:
    field = f"\nPhased-Update-Percentage: {percent}" if percent < 100 else ""
    return f"{text}{field}\n\n"

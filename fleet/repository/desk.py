"""What an operator does with a repository: publish, promote, roll back, sign anew."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from fleet.repository.history import CODENAMES, History, newest
from fleet.repository.keyring import NAME, build_keyring
from fleet.repository.keys import Keys
from fleet.repository.pool import Package, Pool
from fleet.repository.provision import url_of, write_provision
from fleet.repository.publish import Publisher
from fleet.repository.tools import RepositoryError


class Desk:
    """One repository with its keys. `valid_days` 0: no Valid-Until; an empty `url`: the last one."""

    def __init__(self, repository: Path, keys: Keys, *, url: str = "", valid_days: int = 0) -> None:
        if repository.resolve() in keys.folder.resolve().parents:
            raise RepositoryError(f"{keys.folder} lies below the repository: a web server would show it")
        self._repository, self._keys, self._url = repository, keys, url
        self._valid_days = valid_days
        self.history = History(repository)

    def publish(self, files: Iterable[Path], owner: str) -> None:
        """Candidate becomes what it was, with these packages. Without keys, the first ones are made."""
        if not self._keys.exist:
            print(f"made keys in {self._keys.folder}: signer {self._keys.create(owner)}")
        with tempfile.TemporaryDirectory() as folder:
            keyring = build_keyring(self._keys, self._keys.changed, Path(folder))
            taken = newest(Pool(self._repository).add([*files, keyring]))
        # What is given replaces other versions of itself, also higher ones, and leaves the rest.
        named = {(package.name, package.architecture) for package in taken}
        rest = [each for each in self._present("candidate") if (each.name, each.architecture) not in named]
        self._state("candidate", f"{len(taken)} packages published", [*rest, *taken])
        if not self._present("stable"):
            self.promote()

    def promote(self, percent: int = 100) -> None:
        """Stable becomes what candidate is, for all nodes or a share of them."""
        packages = self._present("candidate")
        if not packages:
            raise RepositoryError("candidate is empty; publish packages first")
        reason = "promoted from candidate" + (f" for {percent} %" if percent < 100 else "")
        self._state("stable", reason, packages, percent=percent)

    def rollback(self, codename: str, serial: int | None = None) -> None:
        """A codename becomes an earlier state, by default its last different one."""
        earlier = self.history.find(codename, serial)
        # The keys of then may not be the keys of now: their package stays the present one.
        keyring = [package for package in self._present(codename) if package.name == NAME]
        packages = [package for package in earlier.packages if package.name != NAME]
        reason = f"back to state {earlier.serial}"
        self._state(codename, reason, [*packages, *keyring], back_to=earlier.serial)

    def refresh(self) -> None:
        """Sign the present states anew, with a new date."""
        for codename in CODENAMES:
            latest = self.history.latest(codename)
            if latest:
                self._state(codename, "signed anew", latest.packages, percent=latest.percent)

    def lines(self) -> list[str]:
        """All states for people, the packages of the present ones below them."""
        told = []
        for each in self.history.all:
            now = each is self.history.latest(each.codename)
            date = time.strftime("%Y-%m-%d %H:%M", time.gmtime(each.date))
            told.append(f"{'*' if now else ' '} {each.serial:4}  {each.codename:9}  {date}  {each.reason}")
            told += [f"{'':10}{p.name} {p.version} {p.architecture}" for p in each.packages if now]
        return told

    def _present(self, codename: str) -> Sequence[Package]:
        latest = self.history.latest(codename)
        return latest.packages if latest else ()

    def _state(
        self,
        codename: str,
        reason: str,
        packages: Sequence[Package],
        *,
        percent: int = 100,
        back_to: int | None = None,
    ) -> None:
        latest = self.history.latest(codename)
        # apt silently keeps what it has when a Release is older than that.
        date = max(int(time.time()), latest.date + 1 if latest else 0)
        state = self.history.add(codename, date, reason, packages, percent=percent, back_to=back_to)
        Publisher(self._repository, self._keys, self.history, self._valid_days).publish(state)
        self.history.save()
        script = write_provision(self._repository, self._keys, self._url or url_of(self._repository))
        print(f"{codename} is state {state.serial}: {reason}, {len(packages)} packages")
        print(f"{script}: SHA256:{hashlib.sha256(script.read_bytes()).hexdigest()}")

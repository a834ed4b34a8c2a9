"""What an operator does with a repository: publish, promote, roll back, sign anew."""

from __future__ import annotations

import base64
import hashlib
import tempfile
import textwrap
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from fleet.repository.history import CODENAMES, History, Package, newest
from fleet.repository.keys import KEYRING, Keys, build_keyring
from fleet.repository.publish import Pool, Publisher
from fleet.repository.tools import RepositoryError, write

_PROVISION = Path(__file__).resolve().parents[1] / "node/provision.sh"
"""The script that makes a node; a repository shows it with its own keys and URL in it."""
_OLD_HISTORY = "history.json"
_KEY_MARK, _URL_LINE = "@KEYRING@\n", 'URL=""\n'


class Repository:
    """One repository with its keys. `valid_days` 0: no Valid-Until; an empty `url`: the last one."""

    def __init__(self, folder: Path, keys: Keys, *, url: str = "", valid_days: int = 0) -> None:
        if folder.resolve() in keys.folder.resolve().parents:
            raise RepositoryError(f"{keys.folder} lies below the repository: a web server would show it")
        self._folder, self._keys, self._url = folder, keys, url
        self._valid_days = valid_days
        self._history = History(keys.folder)
        self._pool = Pool(folder, self._history, keys.folder)

    def publish(self, files: Iterable[Path], owner: str) -> None:
        """Candidate becomes what it was, with these packages. Without keys, the first ones are made."""
        if not self._keys.exist:
            print(f"made keys in {self._keys.folder}: signer {self._keys.create(owner)}")
        with tempfile.TemporaryDirectory() as folder:
            keyring = build_keyring(self._keys, Path(folder))
            self._refuse_old()
            taken = newest(self._pool.add([*files, keyring]))
        # What is given replaces other versions of itself, also higher ones, and leaves the rest.
        named = {package.series for package in taken}
        rest = [each for each in self._present("candidate") if each.series not in named]
        self._make_state("candidate", f"{len(taken)} packages published", [*rest, *taken])
        if not self._present("stable"):
            self.promote()

    def adopt(self) -> None:
        """Take over the history of an earlier version of this tool, and the pool as it lies there, once."""
        old = self._folder / _OLD_HISTORY
        if self._history.all or not old.is_file():
            raise RepositoryError(f"there is nothing to adopt: {old} is missing, or a history is there")
        write(self._keys.folder / _OLD_HISTORY, old.read_bytes())
        self._history = History(self._keys.folder)
        self._pool = Pool(self._folder, self._history, self._keys.folder)
        count = self._pool.adopt()
        self._history.save()
        old.unlink()
        print(f"{count} files and {len(self._history.all)} states are believed from now on; say --url next")

    def _refuse_old(self) -> None:
        if not self._history.all and (self._folder / _OLD_HISTORY).exists():
            raise RepositoryError(
                f"{self._folder} has a history of its own, which is not believed; if nobody else could write"
                " there: `adopt`"
            )

    def promote(self, percent: int = 100) -> None:
        """Stable becomes what candidate is, for all nodes or a share of them."""
        packages = self._present("candidate")
        if not packages:
            raise RepositoryError("candidate is empty; publish packages first")
        reason = "promoted from candidate" + (f" for {percent} %" if percent < 100 else "")
        self._make_state("stable", reason, packages, percent=percent)

    def rollback(self, codename: str, serial: int | None = None) -> None:
        """A codename becomes an earlier state, by default its last different one."""
        earlier = self._history.find(codename, serial)
        # The keys of then may not be the keys of now: their package stays the present one.
        keyring = [package for package in self._present(codename) if package.name == KEYRING]
        packages = [package for package in earlier.packages if package.name != KEYRING]
        reason = f"back to state {earlier.serial}"
        self._make_state(codename, reason, [*packages, *keyring], back_to=earlier.serial)

    def refresh(self) -> None:
        """Sign the present states anew, with a new date."""
        for codename in CODENAMES:
            latest = self._history.latest(codename)
            if latest:
                self._make_state(codename, "signed anew", latest.packages, percent=latest.percent)

    def lines(self) -> list[str]:
        """All states for people, the packages of the present ones below them."""
        lines = []
        for each in self._history.all:
            now = each is self._history.latest(each.codename)
            date = time.strftime("%Y-%m-%d %H:%M", time.gmtime(each.date))
            lines.append(f"{'*' if now else ' '} {each.serial:4}  {each.codename:9}  {date}  {each.reason}")
            lines += [f"{'':10}{p.name} {p.version} {p.architecture}" for p in each.packages if now]
        return lines

    def _present(self, codename: str) -> Sequence[Package]:
        latest = self._history.latest(codename)
        return latest.packages if latest else ()

    def _make_state(
        self,
        codename: str,
        reason: str,
        packages: Sequence[Package],
        *,
        percent: int = 100,
        back_to: int | None = None,
    ) -> None:
        if self._url:
            self._history.set_url(self._url)
        latest = self._history.latest(codename)
        # apt silently keeps what it has when a Release is older than that.
        date = max(int(time.time()), latest.date + 1 if latest else 0)
        state = self._history.add(codename, date, reason, packages, percent=percent, back_to=back_to)
        Publisher(self._folder, self._keys, self._history, self._valid_days).publish(state)
        self._history.save()
        script = _write_provision(self._folder, self._keys, self._history.url)
        print(f"{codename} is state {state.serial}: {reason}, {len(packages)} packages")
        print(f"{script}: SHA256:{hashlib.sha256(script.read_bytes()).hexdigest()}")


def _write_provision(folder: Path, keys: Keys, url: str) -> Path:
    """Write `provision.sh` and the keyring into the repository."""
    text = _PROVISION.read_text(encoding="utf-8")
    encoded = "\n".join(textwrap.wrap(base64.b64encode(keys.public()).decode(), 76)) + "\n"
    for mark in (_KEY_MARK, _URL_LINE):
        assert text.count(mark) == 1, f"{_PROVISION} must have {mark!r} once"
    text = text.replace(_KEY_MARK, encoded).replace(_URL_LINE, f'URL="{url}"\n')
    target = folder / "provision.sh"
    write(target, text.encode(), 0o755)
    write(folder / f"{KEYRING}.pgp", keys.public())
    return target

"""The command line of the repository: publish, promote, roll back, refresh, and keys."""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from aptrepo.history import CODENAMES, History, newest
from aptrepo.keyring import NAME, build_keyring
from aptrepo.keys import Keys
from aptrepo.pool import Package, Pool
from aptrepo.provision import write_provision
from aptrepo.publish import Publisher, present
from aptrepo.tools import RepositoryError

_ABOUT = """\
Keep the signed apt repository of a fleet. Everything goes to `candidate` first, and from there to `stable`.

  aptrepo publish dist/*.deb       candidate becomes what it was, with these versions
  aptrepo promote                  stable becomes what candidate is
  aptrepo promote --percent 10     ... for one node in ten; again with more, and at last without --percent
  aptrepo rollback stable          stable becomes what it was before; nodes go back by themselves
  aptrepo refresh                  sign anew, for Valid-Until: from a timer
  aptrepo keys add, keys retire    change keys: docs/fleet.md
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    args = _parser().parse_args(argv)
    try:
        with _locked(args.repository):
            args.run(args, Keys(args.keys), History(args.repository))
    except RepositoryError as error:
        print(f"aptrepo: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    home = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share")
    parser = argparse.ArgumentParser(
        prog="aptrepo", description=_ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repository", type=Path, default=Path("dist/repo"), metavar="DIR")
    parser.add_argument(
        "--keys",
        type=Path,
        default=Path(os.environ.get("HAILO_REPO_KEYS") or home / "hailo-appliance-repo"),
        metavar="DIR",
        help="where the keys lie, never below the repository (or HAILO_REPO_KEYS)",
    )
    parser.add_argument("--url", default="", help="where nodes will find the repository; for provision.sh")
    parser.add_argument(
        "--valid-days", type=int, default=0, metavar="N", help="write Valid-Until; then `refresh` must run daily"
    )
    parser.add_argument("--owner", default="Hailo appliance repository", help="name in keys that are made")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    publish = commands.add_parser("publish", help="take packages into candidate")
    publish.add_argument("files", nargs="+", type=Path, metavar="DEB")
    publish.set_defaults(run=_publish)
    promote = commands.add_parser("promote", help="make candidate stable")
    promote.add_argument("--percent", type=int, default=100, choices=range(1, 101), metavar="1..100")
    promote.set_defaults(run=_promote)
    rollback = commands.add_parser("rollback", help="bring an earlier state back")
    rollback.add_argument("codename", choices=CODENAMES)
    rollback.add_argument("serial", nargs="?", type=int, help="the state; by default the one before")
    rollback.set_defaults(run=_rollback)
    commands.add_parser("refresh", help="sign the present states anew").set_defaults(run=_refresh)
    commands.add_parser("list", help="show all states").set_defaults(run=_list)
    _add_keys(commands.add_parser("keys", help="create, show, add and retire keys"))
    return parser


def _add_keys(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    commands.add_parser("create", help="make a primary key with a signing subkey").set_defaults(run=_create)
    commands.add_parser("show", help="the fingerprints that sign").set_defaults(run=_show)
    add = commands.add_parser("add", help="a new signing key beside the present ones")
    add.add_argument("--new-primary", action="store_true", help="with a primary key of its own")
    add.set_defaults(run=_add)
    retire = commands.add_parser("retire", help="revoke a signing key")
    retire.add_argument("fingerprint")
    retire.set_defaults(run=_retire)


@contextmanager
def _locked(repository: Path) -> Iterator[None]:
    """Two commands at once would number their states alike; the second one waits."""
    repository.mkdir(parents=True, exist_ok=True)
    fd = os.open(repository / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        deadline = time.monotonic() + 600
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise RepositoryError("another aptrepo is at work") from None
                time.sleep(0.2)
        yield
    finally:
        os.close(fd)


def _publish(args: argparse.Namespace, keys: Keys, history: History) -> None:
    if args.repository.resolve() in args.keys.resolve().parents:
        raise RepositoryError(f"{args.keys} lies below the repository, where a web server would show it")
    if not keys.exist:
        print(f"made keys in {args.keys}: signer {keys.create(args.owner)}")
    with tempfile.TemporaryDirectory() as folder:
        files = [*args.files, build_keyring(keys, keys.changed, Path(folder))]
        taken = newest(Pool(args.repository).add(files))
    # What is given replaces other versions of itself, also higher ones, and leaves the rest.
    named = {(package.name, package.architecture) for package in taken}
    rest = [p for p in present(history, "candidate") if (p.name, p.architecture) not in named]
    _state(args, keys, history, "candidate", f"{len(taken)} packages published", [*rest, *taken])


def _promote(args: argparse.Namespace, keys: Keys, history: History) -> None:
    packages = present(history, "candidate")
    if not packages:
        raise RepositoryError("candidate is empty; publish packages first")
    reason = "promoted from candidate" + (f" for {args.percent} %" if args.percent < 100 else "")
    _state(args, keys, history, "stable", reason, packages, args.percent)


def _rollback(args: argparse.Namespace, keys: Keys, history: History) -> None:
    earlier = history.find(args.codename, args.serial)
    # The keys of then may not be the keys of now: their package stays the present one.
    keyring = [package for package in present(history, args.codename) if package.name == NAME]
    packages = [package for package in earlier.packages if package.name != NAME] + keyring
    _state(args, keys, history, args.codename, f"back to state {earlier.serial}", packages)


def _refresh(args: argparse.Namespace, keys: Keys, history: History) -> None:
    for codename in CODENAMES:
        latest = history.latest(codename)
        if latest:
            _state(args, keys, history, codename, "signed anew", latest.packages, latest.percent)


def _state(
    args: argparse.Namespace,
    keys: Keys,
    history: History,
    codename: str,
    reason: str,
    packages: Sequence[Package],
    percent: int = 100,
) -> None:
    latest = history.latest(codename)
    # apt silently keeps what it has when a Release is older than that.
    date = max(int(time.time()), latest.date + 1 if latest else 0)
    state = history.add(codename, date, reason, packages, percent)
    Publisher(args.repository, keys, history, args.valid_days).publish(state)
    history.save()
    script = write_provision(args.repository, keys, args.url or _url_before(args.repository))
    print(f"{codename} is state {state.serial}: {reason}, {len(packages)} packages")
    print(f"{script}: SHA256:{hashlib.sha256(script.read_bytes()).hexdigest()}")


def _url_before(repository: Path) -> str:
    script = repository / "provision.sh"
    lines = script.read_text(encoding="utf-8").splitlines() if script.exists() else []
    return next((line[5:-1] for line in lines if line.startswith('URL="')), "")


def _list(args: argparse.Namespace, _keys: Keys, history: History) -> None:
    now = {codename: history.latest(codename) for codename in CODENAMES}
    for each in history.all:
        mark = "*" if each is now[each.codename] else " "
        date = time.strftime("%Y-%m-%d %H:%M", time.gmtime(each.date))
        print(f"{mark} {each.serial:4}  {each.codename:9}  {date}  {each.reason}")
        if each is now[each.codename]:
            for package in each.packages:
                print(f"          {package.name} {package.version} {package.architecture}")


def _create(args: argparse.Namespace, keys: Keys, _history: History) -> None:
    if keys.exist:
        raise RepositoryError(f"{args.keys} has keys already; `keys add` makes another")
    print(keys.create(args.owner))


def _show(_args: argparse.Namespace, keys: Keys, _history: History) -> None:
    print("\n".join(keys.signers))


def _add(args: argparse.Namespace, keys: Keys, _history: History) -> None:
    print(keys.create(args.owner) if args.new_primary else keys.add())


def _retire(args: argparse.Namespace, keys: Keys, _history: History) -> None:
    keys.retire(args.fingerprint)


if __name__ == "__main__":
    raise SystemExit(main())

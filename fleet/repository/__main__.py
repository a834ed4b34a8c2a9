"""The command line of the repository."""

from __future__ import annotations

import argparse
import fcntl
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fleet.repository.history import CODENAMES
from fleet.repository.keys import Keys
from fleet.repository.repository import Repository
from fleet.repository.tools import RepositoryError, require_programs

_ABOUT = """\
Keep the signed apt repository of a fleet. Everything goes to `candidate` first, and from there to `stable`.

  publish dist/*.deb       candidate becomes what it was, with these versions
  promote                  stable becomes what candidate is
  promote --percent 10     ... for one node in ten; again with more, and at last without --percent
  rollback stable          stable becomes what it was before; nodes go back by themselves
  refresh                  sign anew, for Valid-Until: from a timer
  keys add, keys retire    change keys: docs/fleet.md
"""
_LOCK_S = 600.0
_VALID_DAYS = 14


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    args = _parser().parse_args(argv)
    try:
        require_programs()
        with _locked(args.repository):
            args.run(args)
    except RepositoryError as error:
        print(f"repository: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    home = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share")
    keys = Path(os.environ.get("HAILO_REPO_KEYS") or home / "hailo-appliance-repo")
    parser = argparse.ArgumentParser(
        prog="python3 -m fleet.repository",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--repository", type=Path, default=Path("dist/repo"), metavar="DIR")
    parser.add_argument(
        "--keys", type=Path, default=keys, metavar="DIR", help=f"where the keys lie (HAILO_REPO_KEYS, {keys})"
    )
    parser.add_argument("--url", default="", help="where nodes will find the repository; for provision.sh")
    parser.add_argument(
        "--valid-days",
        type=int,
        default=_VALID_DAYS,
        metavar="N",
        help=f"days until nodes refuse a state ({_VALID_DAYS}; 0: never); `refresh` signs anew, every day",
    )
    parser.add_argument("--owner", default="Hailo appliance repository", help="name in keys that are made")
    _add_commands(parser)
    return parser


def _add_commands(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    publish = commands.add_parser("publish", help="take packages into candidate")
    publish.add_argument("files", nargs="+", type=Path, metavar="DEB")
    publish.set_defaults(run=lambda args: _repository(args).publish(args.files, args.owner))
    promote = commands.add_parser("promote", help="make candidate stable")
    promote.add_argument("--percent", type=int, default=100, choices=range(1, 101), metavar="1..100")
    promote.set_defaults(run=lambda args: _repository(args).promote(args.percent))
    rollback = commands.add_parser("rollback", help="bring an earlier state back")
    rollback.add_argument("codename", choices=CODENAMES)
    rollback.add_argument("serial", nargs="?", type=int, help="the state; by default the one before")
    rollback.set_defaults(run=lambda args: _repository(args).rollback(args.codename, args.serial))
    refresh = commands.add_parser("refresh", help="sign the present states anew")
    refresh.set_defaults(run=lambda args: _repository(args).refresh())
    adopt = commands.add_parser("adopt", help="believe a repository of an earlier version, once")
    adopt.set_defaults(run=lambda args: _repository(args).adopt())
    listing = commands.add_parser("list", help="show all states")
    listing.set_defaults(run=lambda args: print("\n".join(_repository(args).lines())))
    _add_keys(commands.add_parser("keys", help="create, show, add and retire keys"))


def _add_keys(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    create = commands.add_parser("create", help="make a primary key with a signing subkey")
    create.set_defaults(run=_create)
    show = commands.add_parser("show", help="the fingerprints that sign")
    show.set_defaults(run=lambda args: print("\n".join(Keys(args.keys).signers)))
    add = commands.add_parser("add", help="a new signing key beside the present ones")
    add.add_argument("--new-primary", action="store_true", help="with a primary key of its own")
    add.set_defaults(run=_add)
    retire = commands.add_parser("retire", help="revoke a signing key")
    retire.add_argument("fingerprint")
    retire.set_defaults(run=lambda args: Keys(args.keys).retire(args.fingerprint))


def _repository(args: argparse.Namespace) -> Repository:
    return Repository(args.repository, Keys(args.keys), url=args.url, valid_days=args.valid_days)


def _create(args: argparse.Namespace) -> None:
    keys = Keys(args.keys)
    if keys.exist:
        raise RepositoryError(f"{args.keys} has keys already; `keys add` makes another")
    print(keys.create(args.owner))


def _add(args: argparse.Namespace) -> None:
    keys = Keys(args.keys)
    print(keys.create(args.owner) if args.new_primary else keys.add())


@contextmanager
def _locked(repository: Path) -> Iterator[None]:
    """Two commands at once would number their states alike; the second one waits."""
    repository.mkdir(parents=True, exist_ok=True)
    fd = os.open(repository / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    deadline = time.monotonic() + _LOCK_S
    try:
        while not _lock(fd):
            if time.monotonic() > deadline:
                raise RepositoryError("another command has been at work for ten minutes")
            time.sleep(0.2)
        yield
    finally:
        os.close(fd)


def _lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


if __name__ == "__main__":
    raise SystemExit(main())

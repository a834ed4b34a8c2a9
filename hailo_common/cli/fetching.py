"""A fetch as a command runs it: with whose rights, what it asks and prints, and its exit status."""

from __future__ import annotations

import contextlib
import os
import pwd
import sys
from collections.abc import Callable, Container, Sequence
from pathlib import Path
from typing import NoReturn

from hailo_common.cli.framework import CommandError, say, warn
from hailo_common.config.schema import is_model_name
from hailo_common.errors import ConfigError
from hailo_common.models.fetch import Fetcher, Report
from hailo_common.models.http import Web
from hailo_common.models.manifest import Catalogue, Model, ModelFile
from hailo_common.models.progress import Told, make_progress
from hailo_common.models.settings import FetchSettings
from hailo_common.models.sources import Extra
from hailo_common.models.store import Store, StoreBusyError

OWNER = "hailo-fetch"
_WAIT_S = 3600.0


def become_owner(store: Path) -> None:
    """Create the store if it is missing; as root, go on as its owner for good.

    What strangers send is then handled with no more rights than that user's. CommandError (77) where the
    store may not be written.
    """
    try:
        _create(store)
        status = store.stat()
    except OSError as error:
        raise CommandError(f"{store}: {error.strerror}; try: sudo hailo-ctl ...", os.EX_NOPERM) from None
    if os.geteuid() == 0 and status.st_uid != 0:
        os.setgroups([])
        os.setgid(status.st_gid)
        os.setuid(status.st_uid)
    os.umask(0o022)
    if not os.access(store, os.R_OK | os.W_OK | os.X_OK):
        raise CommandError(
            f"{store}: only root and its owner may change it; try: sudo hailo-ctl ...", os.EX_NOPERM
        )


def as_owner(store: Path, work: Callable[[], str]) -> str:
    """What `work` returns, done in a process of its own with the rights of the store's owner.

    Root reads a stranger's folder with these: links and odd files there show no more than that user may see.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        _work_alone(store, work, reader, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        told = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status:
        raise CommandError(told.decode("utf-8", "replace") or "the folder could not be read", status)
    return told.decode("utf-8")


def _work_alone(store: Path, work: Callable[[], str], reader: int, writer: int) -> NoReturn:
    status, told = os.EX_SOFTWARE, ""
    try:
        os.close(reader)
        become_owner(store)
        status, told = os.EX_OK, work()
    except CommandError as error:
        status, told = error.status, str(error)
    except ConfigError as error:
        status, told = os.EX_CONFIG, str(error)
    except OSError as error:
        status, told = os.EX_NOINPUT, f"{error.filename or store}: {error.strerror}"
    finally:
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(told.encode("utf-8", "replace"))
        os._exit(status)


def _create(store: Path) -> None:
    if store.is_dir():
        return
    store.mkdir(mode=0o755, parents=True)
    store.chmod(0o755)
    with contextlib.suppress(KeyError):
        if os.geteuid() == 0:
            owner = pwd.getpwnam(OWNER)
            os.chown(store, owner.pw_uid, owner.pw_gid)


def fetch_models(
    store: Store,
    models: Sequence[Model],
    *,
    settings: FetchSettings,
    catalogue: Catalogue,
    extra: Extra,
    accept: bool,
    verify: bool = False,
    unattended: bool = False,
    suspects: Container[str] = (),
) -> int:
    """Fetch into `store` and print; returns the exit status.

    `unattended`: files without a stated checksum that nobody has accepted yet are no failure, and what was
    refused before is not brought again as long as its server has the same. Files of `suspects` are read anew.
    """
    become_owner(store.root)

    def accepted(model: Model, files: Sequence[ModelFile], ask: bool) -> bool:
        return accept or model.name in settings.accept_unstated or (ask and _ask(model, files))

    fetcher = Fetcher(
        store=store,
        catalogue=catalogue,
        settings=settings,
        web=Web(settings.proxy, settings.stall_timeout_s),
        progress=Told(make_progress(), store.root, _status()),
        accept=accepted,
        extra=extra,
    )

    def work() -> Report:
        return fetcher.fetch(models, rehash=verify, again=not unattended, suspects=suspects)

    return _run(store, work, unattended=unattended)


def _status() -> Callable[[str], object]:
    """Where the line for `systemctl status` goes."""
    if "NOTIFY_SOCKET" not in os.environ:
        return lambda _: None
    from hailo_common.systemd.notify import Notifier  # noqa: PLC0415 - brings asyncio

    return Notifier.from_environ().status


def _run(store: Store, work: Callable[[], Report], *, unattended: bool) -> int:
    try:
        with store.locked(_WAIT_S, lambda: say("another fetch is running; waiting for it")):
            report = work()
    except StoreBusyError:
        raise CommandError(
            "another fetch has been running for an hour; try again later", os.EX_TEMPFAIL
        ) from None
    except OSError as error:
        raise CommandError(f"{error.filename or store.root}: {error.strerror}", os.EX_TEMPFAIL) from None
    for problem in report.problems:
        warn(problem)
    if unattended and report.undecided == len(report.problems):
        return os.EX_OK
    return report.status


def _ask(model: Model, files: Sequence[ModelFile]) -> bool:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    say(f"{model.name}: nobody states a checksum for")
    for file in files:
        say(f"    {file.path}  from  {file.urls[0]}")
    say("What arrives now is pinned: other content is refused later, here and where you copy pins.yaml to.")
    try:
        return input("Accept these files as they arrive? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def checked_name(name: str) -> str:
    """A new model's name; ConfigError if it is not allowed."""
    if not is_model_name(name):
        raise ConfigError(
            f"{name!r} is not a model name: lower case letters, digits, `.`, `_` and `-` are allowed"
        )
    return name

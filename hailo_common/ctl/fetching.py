"""A fetch as a command runs it: whose rights, who is asked, what is printed, which exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from hailo_common.config.places import Places
from hailo_common.config.rules import is_model_name
from hailo_common.ctl.output import CommandError, say, warn
from hailo_common.ctl.privileges import become_owner
from hailo_common.errors import ConfigError
from hailo_common.models.catalogue import Catalogue
from hailo_common.models.fetch import Fetcher
from hailo_common.models.http import Web
from hailo_common.models.manifest import Model, ModelFile
from hailo_common.models.progress import make_progress
from hailo_common.models.settings import Settings
from hailo_common.models.sources import Extra
from hailo_common.models.store import Store, StoreBusyError

_WAIT_S = 3600.0


def fetch_models(
    places: Places,
    models: Sequence[Model],
    *,
    settings: Settings,
    catalogue: Catalogue,
    extra: Extra,
    accept: bool,
    verify: bool = False,
    unattended: bool = False,
    store: Store | None = None,
) -> int:
    """Fetch and print, into the machine's store or another one; returns the exit status.

    `unattended`: a yes that nobody has given yet is no failure.
    """
    store = store or Store(places.store())
    become_owner(store.root)

    def accepted(model: Model, files: Sequence[ModelFile]) -> bool:
        return accept or model.name in settings.accept_unstated or _ask(model, files)

    fetcher = Fetcher(
        store=store,
        catalogue=catalogue,
        settings=settings,
        web=Web(settings.proxy, settings.stall_timeout_s),
        progress=make_progress(),
        accept=accepted,
        extra=extra,
    )
    with_lock = store.locked(_WAIT_S, lambda: say("another fetch is running; waiting for it"))
    try:
        with with_lock:
            report = fetcher.fetch(models, rehash=verify)
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
    say(f"{model.name}: the publisher states no checksum for")
    for file in files:
        say(f"    {file.path}  from  {file.urls[0]}")
    say("What arrives now is pinned: other content is refused later, here and where you copy pins.yaml to.")
    try:
        return input("Accept these files as they arrive? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def checked_name(name: str) -> str:
    """A model's name as it may be given; ConfigError otherwise."""
    if not is_model_name(name):
        raise ConfigError(f"{name!r} is no name of a model: lower case letters, digits, `.`, `_` and `-`")
    return name

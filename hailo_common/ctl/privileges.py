"""Whose rights a command works with: strangers' bytes are handled with no more than the store's owner has."""

from __future__ import annotations

import contextlib
import os
import pwd
from pathlib import Path

from hailo_common.ctl.output import CommandError

OWNER = "hailo-fetch"


def become_owner(store: Path) -> None:
    """Make sure that the store is there and may be written; as root, go on as its owner for good.

    CommandError (77) where this user may not.
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


def _create(store: Path) -> None:
    if store.is_dir():
        return
    store.mkdir(mode=0o755, parents=True)
    store.chmod(0o755)
    with contextlib.suppress(KeyError):
        if os.geteuid() == 0:
            owner = pwd.getpwnam(OWNER)
            os.chown(store, owner.pw_uid, owner.pw_gid)

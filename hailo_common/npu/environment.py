"""What HailoRT reads from the environment when it is loaded: where its log goes, above all.

Left alone it writes `hailort.log` into the current directory and below HOME, neither of which a service has.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping
from pathlib import Path

LOGGER_PATH = "HAILORT_LOGGER_PATH"
_CONSOLE = "HAILORT_CONSOLE_LOGGER_LEVEL"
_NO_FILE = "NONE"


def log_directory(service: str, environ: Mapping[str, str] = os.environ) -> Path | None:
    """The service's log directory, made if need be: systemd's, else XDG's state folder; None without one."""
    first = environ.get("LOGS_DIRECTORY", "").partition(":")[0]
    state = environ.get("XDG_STATE_HOME", "")
    home = environ.get("HOME", "")
    for folder in (
        Path(first) if first else None,
        Path(state) / service if state.startswith("/") else None,
        Path(home) / ".local" / "state" / service if home.startswith("/") else None,
    ):
        if folder is not None and _writable(folder):
            return folder
    return None


def prepare_environment(log_dir: Path | None, environ: MutableMapping[str, str] = os.environ) -> None:
    """Set HailoRT's variables; call it before the library is imported. What an operator set stays.

    `log_dir=None` switches its log files off. HOME is moved there when it cannot be written: the library puts
    a second log below it.
    """
    environ.setdefault(LOGGER_PATH, str(log_dir) if log_dir else _NO_FILE)
    environ.setdefault(_CONSOLE, "error")
    home = environ.get("HOME", "")
    if log_dir is not None and not (home.startswith("/") and os.access(home, os.W_OK)):
        environ["HOME"] = str(log_dir)


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)

"""What every check gets and gives: the machine it looks at, and its results."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from hailo_common.config.common_keys import CommonSettings, service_settings
from hailo_common.config.load import load
from hailo_common.config.paths import Paths
from hailo_common.errors import ConfigError
from hailo_common.meminfo import sizes

State = Literal["ok", "warn", "fail", "unseen"]
_DEADLINE_S = 15


@dataclass(frozen=True)
class CheckResult:
    """One thing that was looked at: how it is, and for what is not well the way to mend it."""

    area: str
    state: State
    text: str
    remedy: str = ""


def run_program(*command: str) -> str | None:
    """What a program prints; None when it is not there, fails or takes too long."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_DEADLINE_S, check=True)
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return done.stdout


@dataclass(frozen=True)
class System:
    """The machine that is looked at; tests put a folder and a stand-in for programs in its place."""

    paths: Paths = field(default_factory=Paths)
    services: tuple[str, ...] = ()
    ask_api: bool = True
    """Send an image to each service; without it only files and systemd are looked at."""
    run: Callable[..., str | None] = run_program
    live: bool = True
    """It is the machine that runs this, whose programs, units and services can be asked."""

    def settings(self) -> Iterator[tuple[str, CommonSettings]]:
        """Each service whose configuration can be read, and that; `check_configuration` tells of the rest."""
        for name in self.services:
            try:
                settings = load(service_settings(name), name, self.paths)
            except ConfigError:
                continue
            yield name, settings

    def read(self, path: str) -> str:
        """The text of a file of the system, empty if it cannot be read."""
        try:
            return (self.paths.root / path.lstrip("/")).read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            return ""

    def memory(self) -> Mapping[str, int]:
        """Bytes by the names of /proc/meminfo; nothing where that cannot be read."""
        return sizes(self.read("/proc/meminfo"))

    def exists(self, path: str) -> bool:
        """Is this file of the system there?"""
        return (self.paths.root / path.lstrip("/")).exists()

    def glob(self, pattern: str) -> list[Path]:
        """Files of the system by pattern, sorted."""
        return sorted(self.paths.root.glob(pattern.lstrip("/")))


Check = Callable[[System], Iterator[CheckResult]]


def properties(text: str) -> Mapping[str, str]:
    """`Name=value` lines as systemctl prints them."""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)

"""Run inside a machine: shows a folder as a mirror that misbehaves, and writes its port into a file.

python3 bad_mirror.py FOLDER PORT_FILE, with tests/hailo_common/models/depot.py beside it. The first word of a
path says
what is wrong with the mirror: http://127.0.0.1:PORT/short/MODEL/FILE.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from tests.hailo_common.models.depot import (
    Behaviour,
    Depot,
    Handler,
    page,
    redirect,
    running,
    short,
    stall,
    status,
    wrong,
)


def circle(handler: Handler, content: bytes) -> None:
    """Redirected to where it came from."""
    redirect(handler.path)(handler, content)


FAULTS: dict[str, Behaviour] = {
    "page": page,
    "short": short,
    "wrong": wrong,
    "absent": status(404),
    "stall": stall,
    "circle": circle,
}


class Files(dict[str, bytes]):
    """FAULT/MODEL/FILE to the content of FILE."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def get(self, path: str, default: Any = None) -> Any:
        file = self._folder.joinpath(*path.split("/")[2:])
        return file.read_bytes() if file.is_file() else default


class Faults(dict[str, Behaviour]):
    """FAULT/MODEL/FILE to the behaviour; none for a word that is no fault."""

    def get(self, path: str, default: Any = None) -> Any:
        return FAULTS.get(path.split("/", maxsplit=1)[0], default)


def serve(depot: Depot, folder: Path, port_file: Path) -> None:
    """For ever."""
    depot.files, depot.behaviours = Files(folder), Faults()
    port_file.write_text(str(depot.server_address[1]), encoding="ascii")
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    with running() as started:
        serve(started, Path(sys.argv[1]), Path(sys.argv[2]))

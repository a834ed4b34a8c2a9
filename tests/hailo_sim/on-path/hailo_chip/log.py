"""The library's own log files, made when it is loaded.

Source: HailoRT's `hailort_logger.cpp`: one below HOME and one in `HAILORT_LOGGER_PATH`, else in the current
directory; NONE switches the latter off. Where one cannot be written a warning says so, and all goes on.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

NAME = "hailort.log"


def open_logs() -> None:
    """Write a line into both files, as far as that is possible."""
    named = os.environ.get("HAILORT_LOGGER_PATH", "") or "."
    home = os.environ.get("HOME", "")
    folders = [] if named == "NONE" else [Path(named)]
    if home:
        folders.append(Path(home) / ".hailo" / "hailort")
    for folder in folders:
        try:
            folder.mkdir(parents=folder.name == "hailort", exist_ok=True)
            with (folder / NAME).open("a", encoding="utf-8") as file:
                file.write(f"[{os.getpid()}] [HailoRT] [info] the library is loaded\n")
        except OSError:
            print(f"HailoRT warning: Cannot create log file {NAME}! {folder}", file=sys.stderr)

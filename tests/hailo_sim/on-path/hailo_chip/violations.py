"""Misuse that the real stack answers with corruption, a crash or a dead chip: here the process ends."""

from __future__ import annotations

import os
import sys
import traceback
from typing import NoReturn

from hailo_chip.settings import state_folder

EXIT = 86


def violation(text: str) -> NoReturn:
    """Write the misuse to `$HAILO_SIM_STATE/violations` and end the process; nothing can catch it."""
    where = "".join(traceback.format_stack(limit=12)[:-1])
    line = f"violation: {text} (process {os.getpid()})\n{where}"
    with (state_folder() / "violations").open("a", encoding="utf-8") as file:
        file.write(line)
        file.flush()
    print(line, file=sys.stderr, flush=True)
    os._exit(EXIT)

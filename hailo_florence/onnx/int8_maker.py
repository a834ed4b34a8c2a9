"""The process that makes the 8-bit copy of a vision encoder and proves it against the original.

Run by `hailo_florence.onnx.int8_file` as `python -m hailo_florence.onnx.int8_maker`, so that what it needs of
memory is gone with it. Messages: first `{"folder", "source", "copy", "bits", "threads"}`; then `{"share"}`
(0 to 1) as it comes along, and in the end `{"verdict"}` or `{"failed"}`. A model's folder is a stranger's:
the process walls itself off before any library that reads it is loaded.
"""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import asdict
from pathlib import Path

from hailo_common.errors import ModelError
from hailo_common.ipc.messages import Message, child_channel
from hailo_common.ipc.walls import for_engine

log = logging.getLogger(__name__)


def main() -> int:
    """Make one copy; returns the exit status."""
    channel = child_channel()
    order, _ = channel.receive()
    _wall_off(order)
    from hailo_florence.onnx.int8_proof import make  # noqa: PLC0415 - numpy starts threads, too early else

    try:
        verdict = make(channel, order)
    except (ModelError, OSError, MemoryError) as error:
        channel.send({"failed": str(error) or type(error).__name__})
        return 1
    channel.send({"verdict": asdict(verdict)})
    return 0


def _wall_off(order: Message) -> None:
    """It reads the model, and writes where copies lie."""
    source, place = Path(order["source"]), Path(order["copy"]).parent
    place.mkdir(mode=0o755, parents=True, exist_ok=True)
    readable = [order["folder"], os.path.realpath(order["folder"]), str(source.resolve().parent)]
    missing = for_engine(readable, [str(place)])
    if missing:
        log.warning("the maker of copies is less confined than it should be: %s", "; ".join(missing))


if __name__ == "__main__":
    sys.exit(main())

"""Signs of life of an engine at work, from a thread of its own: its requests may be silent for long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from hailo_common.ipc.messages import Channel

EVERY_S = 3.0


class Pulse:
    """Tells the parent every few seconds that the process runs, while `at_work` says that it has requests.

    A library that hangs with Python's lock, or a stopped process, tells nothing. One that hangs without
    the lock does: the deadline of its request ends it.
    """

    def __init__(self, channel: Channel, at_work: Callable[[], bool]) -> None:
        self._channel = channel
        self._at_work = at_work
        self._begun = threading.Event()
        threading.Thread(target=self._tell, name="pulse", daemon=True).start()

    def begin(self) -> None:
        """There is work from now on."""
        self._begun.set()

    def _tell(self) -> None:
        while True:
            self._begun.wait()
            self._begun.clear()
            time.sleep(EVERY_S)
            while self._at_work():
                try:
                    self._channel.send({"alive": True})
                except OSError:
                    # The parent is gone, and this process with it.
                    return
                time.sleep(EVERY_S)

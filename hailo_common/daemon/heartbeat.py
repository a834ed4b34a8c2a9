"""What systemd hears while the service runs: watchdog pings and the status line."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from hailo_common.daemon.notify import Notifier

_log = logging.getLogger(__name__)
_STATUS_EVERY_S = 1.0


class Heartbeat:
    """Pings while `watchdog` holds, and always while the service stops; passes on changes of `status`."""

    def __init__(self, notifier: Notifier, watchdog: Callable[[], bool], status: Callable[[], str]) -> None:
        self._notifier = notifier
        self._watchdog = watchdog
        self._status = status
        self._last_status = ""
        self.stopping = False

    def ready(self) -> None:
        """The port answers."""
        self._last_status = self._status_line()
        self._notifier.ready(self._last_status)

    async def run(self) -> None:
        """Beat until cancelled."""
        await asyncio.gather(self._feed_watchdog(), self._report_status())

    async def _feed_watchdog(self) -> None:
        interval = self._notifier.watchdog_interval()
        fed = True
        while interval:
            alive = self.stopping or self._alive()
            if alive:
                self._notifier.watchdog()
            elif fed:
                _log.error("not alive any more; systemd's watchdog will end this process")
            fed = alive
            await asyncio.sleep(interval / 2)

    async def _report_status(self) -> None:
        while not self.stopping:
            text = self._status_line()
            if text != self._last_status:
                self._notifier.status(text)
                self._last_status = text
            await asyncio.sleep(_STATUS_EVERY_S)

    def _alive(self) -> bool:
        try:
            return self._watchdog()
        except Exception:
            _log.exception("the watchdog's check failed")
            return False

    def _status_line(self) -> str:
        try:
            return self._status()
        except Exception:
            return "status unknown"

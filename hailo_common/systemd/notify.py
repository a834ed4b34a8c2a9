"""sd_notify in the standard library, which never raises, and what it sends while a service runs."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, MutableMapping

from hailo_common.systemd.record import escaped
from hailo_common.systemd.wake import shared

_log = logging.getLogger(__name__)
_STATUS_EVERY_S = 1.0
_VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
_READY_TIMEOUT_S = 2.0


class Notifier:
    """Messages to the service manager; does nothing where there is none."""

    def __init__(self, address: str = "", watchdog_s: float | None = None) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._watchdog_s = watchdog_s

    @classmethod
    def from_environ(cls, environ: MutableMapping[str, str] = os.environ) -> Notifier:
        """Take systemd's variables out of the environment, so that no child speaks for the service."""
        address, usec, pid = (environ.pop(name, "") for name in _VARIABLES)
        ours = not pid or pid == str(os.getpid())
        watchdog_s = int(usec) / 1e6 if ours and usec.isascii() and usec.isdigit() else None
        return cls(address if address.startswith(("/", "@")) else "", watchdog_s or None)

    def watchdog_interval(self) -> float | None:
        """Seconds within which systemd wants a ping, or None without watchdog."""
        return self._watchdog_s

    def ready(self, status: str = "") -> bool:
        """The port answers. Waits up to 2 s, because systemd waits for exactly this message."""
        return self._send(["READY=1", *_status(status)], _READY_TIMEOUT_S)

    def stopping(self, status: str = "") -> bool:
        """The service has begun to stop."""
        return self._send(["STOPPING=1", *_status(status)], _READY_TIMEOUT_S)

    def status(self, text: str) -> bool:
        """One line for `systemctl status`."""
        return self._send(_status(text) or ["STATUS="])

    def watchdog(self) -> bool:
        """The service is alive."""
        return self._send(["WATCHDOG=1"])

    def extend_timeout(self, seconds: float) -> bool:
        """Starting or stopping needs this much longer than the unit's timeout."""
        return self._send([f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}"])

    def _send(self, lines: list[str], timeout_s: float = 0.0) -> bool:
        if not self._address:
            return False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(timeout_s)
                sender.sendto("\n".join(lines).encode(errors="replace"), self._address)
        except OSError:
            return False
        return True


def _status(text: str) -> list[str]:
    return [f"STATUS={escaped(text)[:500]}"] if text else []


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
                _log.error("no longer alive; systemd's watchdog will end this process")
            fed = alive
            await asyncio.sleep(shared(interval / 2))

    async def _report_status(self) -> None:
        while not self.stopping:
            text = self._status_line()
            if text != self._last_status:
                self._notifier.status(text)
                self._last_status = text
            await asyncio.sleep(shared(_STATUS_EVERY_S))

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

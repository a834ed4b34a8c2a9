"""One line a request, at a bounded rate, with nothing in it that a client chose."""

from __future__ import annotations

import asyncio
import logging
import time

logger = logging.getLogger("hailo_common.web")

PROBES = ("/health", "/health/ready", "/readyz", "/metrics")


class LineLog:
    """Writes request lines through a token bucket; lines over the rate are counted and reported later."""

    def __init__(self, lines_per_s: int) -> None:
        self._rate = lines_per_s
        self._tokens = float(lines_per_s)
        self._filled_at = time.monotonic()
        self._suppressed = 0

    def request(self, fields: dict[str, str | int], code: str | None) -> None:
        """Log one answered or refused request; `code` names the refusal."""
        if not self._take():
            self._suppress()
            return
        refused = {} if code is None else {"CODE": code}
        probe = code is None and fields.get("ENDPOINT") in PROBES
        event = {"EVT": "request" if code is None else "refused"}
        # The log's formatter writes the fields into the line; probes come every few seconds for ever.
        logger.log(
            logging.DEBUG if probe else logging.INFO, "", extra={"fields": {**event, **fields, **refused}}
        )

    def _take(self) -> bool:
        now = time.monotonic()
        self._tokens = min(float(self._rate), self._tokens + (now - self._filled_at) * self._rate)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def _suppress(self) -> None:
        self._suppressed += 1
        if self._suppressed == 1:
            asyncio.get_running_loop().call_later(1.0, self._report)

    def _report(self) -> None:
        count, self._suppressed = self._suppressed, 0
        logger.info("", extra={"fields": {"EVT": "suppressed", "N": count}})

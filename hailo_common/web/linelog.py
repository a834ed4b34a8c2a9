"""One line a request, at a bounded rate, with nothing in it that a client chose."""

from __future__ import annotations

import asyncio
import logging
import time

logger = logging.getLogger("hailo_common.web")


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
        event = "request" if code is None else "refused"
        words = [f"evt={event}"]
        words += [f"{key.lower()}={value}" for key, value in fields.items()]
        if code is not None:
            words.append(f"code={code}")
            fields = {**fields, "CODE": code}
        logger.info(" ".join(words), extra={"fields": fields})

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
        logger.info("evt=suppressed n=%d", count, extra={"fields": {"SUPPRESSED": count}})

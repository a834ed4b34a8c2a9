"""What the parts of the front door note about one request while it is served."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from hailo_common.web.budget import ByteBudget

_KEY = "hailo.exchange"


class Exchange:
    """One request and its answer: the refusal's code and the body bytes held."""

    def __init__(self) -> None:
        self.code: str | None = None
        self.status: int | None = None
        self.client_gone = False
        self._budget: ByteBudget | None = None
        self._held = 0

    async def hold(self, budget: ByteBudget, amount: int) -> None:
        """Wait for body bytes; they are given back by `release`, at the latest when the request ends."""
        held = await budget.take(amount)
        self._budget = budget
        self._held += held

    def release(self) -> None:
        """Give the body bytes back; more calls do nothing."""
        if self._budget is not None and self._held:
            held, self._held = self._held, 0
            self._budget.give_back(held)


def exchange_of(scope: MutableMapping[str, Any]) -> Exchange:
    """The exchange of a request's scope, made at the first call."""
    exchange = scope.setdefault(_KEY, Exchange())
    assert isinstance(exchange, Exchange)
    return exchange

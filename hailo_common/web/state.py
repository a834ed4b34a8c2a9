"""What all parts of one service's front door share: settings, error shape, counters, the request log.

What the parts of the front door note about one request while it is served.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import MutableMapping
from typing import Any

from fastapi import FastAPI, Request

from hailo_common.web.errors import ErrorFormat
from hailo_common.web.limiters import ByteBudget, ConnectionLimiter, RequestLogLimiter
from hailo_common.web.limits import HttpLimits


class ServerState:
    """The state of a front door; `app.state.server_state` of every app that `make_base_app` made.

    `refusals` counts by error code, `responses` by (route template, method, status), both bounded in size.
    """

    def __init__(self, *, shape: ErrorFormat, settings: HttpLimits) -> None:
        self.shape = shape
        self.settings = settings
        self.lines = RequestLogLimiter(settings.log_lines_per_s)
        self.connection_limiter = ConnectionLimiter(settings)
        self.budget = ByteBudget(settings.body_budget)
        self.refusals: Counter[str] = Counter()
        self.responses: Counter[tuple[str, str, int]] = Counter()
        self.in_flight = 0
        self.clients_gone = 0


def server_state_of(source: FastAPI | Request) -> ServerState:
    """The front door of an app, or of the app a request came to."""
    app: Any = source.app if isinstance(source, Request) else source
    server_state = app.state.server_state
    assert isinstance(server_state, ServerState)
    return server_state


_KEY = "hailo.exchange"


class RequestState:
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


def request_state_of(scope: MutableMapping[str, Any]) -> RequestState:
    """The exchange of a request's scope, made at the first call."""
    request_state = scope.setdefault(_KEY, RequestState())
    assert isinstance(request_state, RequestState)
    return request_state

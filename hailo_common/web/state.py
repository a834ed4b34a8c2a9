"""What the parts of one server share, and what they note about each request while it is served."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, MutableMapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

from fastapi import FastAPI, Request

from hailo_common.owner import EVERYBODY
from hailo_common.web.errors import ErrorFormat
from hailo_common.web.limits import BodyShare, ByteBudget, ConnectionLimiter, HttpLimits
from hailo_common.web.page.assets import Page

logger = logging.getLogger("hailo_common.web")

CLIENT_GONE = 499
_PROBES = ("/health", "/health/ready", "/readyz", "/metrics", "/v1/status", "/v1/status/models")
RECENT = 64
"""Requests that are remembered, without a word of what was asked."""
ModelRows: TypeAlias = "list[dict[str, Any]]"
"""The models of the manifests, a row each."""


@dataclass(frozen=True)
class RecentRequest:
    """A request that has ended: `at` is when, in UTC, `tokens` those of its answer."""

    at: datetime
    endpoint: str
    status: int
    ms: int
    tokens: int | None
    code: str | None
    owner: str

    def to_json(self) -> dict[str, Any]:
        """What its owner is told."""
        told = {name: value for name, value in vars(self).items() if name != "owner"}
        return {**told, "at": self.at.isoformat(timespec="seconds")}


class ServerState:
    """The state of one server; `app.state.server_state` of every app that `make_base_app` made.

    `refusals` counts by error code, `responses` by (route template, method, status), both bounded in size.
    """

    def __init__(self, *, error_format: ErrorFormat, limits: HttpLimits) -> None:
        self.error_format = error_format
        self.error_formats: dict[str, ErrorFormat] = {}
        """Those of other dialects, by the beginning of the paths that they own."""
        self.aliases: dict[str, str] = {}
        """Addresses that mean another one: whole paths, and beginnings that end with a slash."""
        self.limits = limits
        self.connection_limiter = ConnectionLimiter(limits)
        self.budget = ByteBudget(limits.body_budget)
        self.refusals: Counter[str] = Counter()
        self.responses: Counter[tuple[str, str, int]] = Counter()
        self.recent: deque[RecentRequest] = deque(maxlen=RECENT)
        self.list_models: Callable[[], ModelRows] = list
        """Reads which models are known on this machine; takes its time."""
        self.model_name = ""
        """What requests should call the model, whichever is loaded; "" where it has its own name only."""
        self.page: Page | None = None
        """What browsers get at `/`; None where it is switched off."""
        self.in_flight = 0
        self.clients_gone = 0

    def format_for(self, path: str) -> ErrorFormat:
        """How errors are reported at a path."""
        own = (known for start, known in self.error_formats.items() if path.startswith(start))
        return next(own, self.error_format)

    def note_request(
        self, request_state: RequestState, *, endpoint: str, method: str, seconds: float, peer: str
    ) -> None:
        """Count and log a request that has ended; `endpoint` is its route's template, or `-`."""
        status = CLIENT_GONE if request_state.client_gone else request_state.status or 500
        if method == "POST" and endpoint != "-":
            self._remember(request_state, endpoint, status, seconds)
        self.responses[endpoint, method, status] += 1
        self.clients_gone += request_state.client_gone
        fields: dict[str, str | int] = {"ENDPOINT": endpoint, "METHOD": method, "STATUS": status}
        fields |= {"DURATION_MS": round(seconds * 1000), "PEER": peer}
        if request_state.path is not None:
            fields["PATH"] = request_state.path
        if request_state.code is not None and not request_state.client_gone:
            self.note_refusal(request_state.code, fields)
        else:
            # Probes come every few seconds for ever.
            _log("request", fields, logging.DEBUG if endpoint in _PROBES else logging.INFO)

    def _remember(self, request_state: RequestState, endpoint: str, status: int, seconds: float) -> None:
        told = request_state.tokens, request_state.code, request_state.owner
        self.recent.append(RecentRequest(datetime.now(UTC), endpoint, status, round(seconds * 1000), *told))

    def note_refusal(self, code: str, fields: dict[str, str | int]) -> None:
        """Count and log a refusal; nothing in `fields` may be what a client chose, bar a harmless `PATH`."""
        self.refusals[code] += 1
        _log("refused", {**fields, "CODE": code}, logging.INFO)


def _log(event: str, fields: dict[str, str | int], level: int) -> None:
    # The log's formatter writes the fields into the line.
    logger.log(level, "", extra={"fields": {"EVT": event, **fields}})


def server_state_of(source: FastAPI | Request) -> ServerState:
    """The server state of an app, or of the app a request came to."""
    app: Any = source.app if isinstance(source, Request) else source
    server_state = app.state.server_state
    assert isinstance(server_state, ServerState)
    return server_state


_KEY = "hailo.request_state"


class RequestState:
    """One request and its answer: the refusal's code and the body bytes held."""

    def __init__(self) -> None:
        self.code: str | None = None
        self.path: str | None = None
        """The address where there is nothing, as far as it may be shown."""
        self.status: int | None = None
        self.client_gone = False
        self.owner = EVERYBODY
        self.tokens: int | None = None
        self._budget: ByteBudget | None = None
        self._share: BodyShare | None = None

    def expect(self, budget: ByteBudget, amount: int | None) -> BodyShare:
        """The share of this request's body; it is given back by `release`, at the latest when the request
        ends.
        """
        self._budget, self._share = budget, budget.open(amount)
        return self._share

    def release(self) -> None:
        """Give the body bytes back; more calls do nothing."""
        if self._budget is not None and self._share is not None:
            self._budget.close(self._share)
            self._share = None


def request_state_of(scope: MutableMapping[str, Any]) -> RequestState:
    """The state of a request's scope, made at the first call."""
    request_state = scope.setdefault(_KEY, RequestState())
    assert isinstance(request_state, RequestState)
    return request_state


current: ContextVar[RequestState | None] = ContextVar("current", default=None)
"""The state of the request this task works on."""


def note_tokens(count: int) -> None:
    """Note the tokens of the answer to the request this task works on; several answers add up."""
    if (state := current.get()) is not None:
        state.tokens = (state.tokens or 0) + count

"""What all parts of one service's front door share: settings, error shape, counters, the request log."""

from __future__ import annotations

from collections import Counter
from typing import Any

from fastapi import FastAPI, Request

from hailo_common.web.budget import ByteBudget
from hailo_common.web.errors import Shape
from hailo_common.web.gate import Gate
from hailo_common.web.linelog import LineLog
from hailo_common.web.settings import WebSettings


class FrontDoor:
    """The state of a front door; `app.state.front_door` of every app that `make_base_app` made.

    `refusals` counts by error code, `responses` by (route template, method, status), both bounded in size.
    """

    def __init__(self, *, shape: Shape, settings: WebSettings) -> None:
        self.shape = shape
        self.settings = settings
        self.lines = LineLog(settings.log_lines_per_s)
        self.gate = Gate(settings)
        self.budget = ByteBudget(settings.body_budget)
        self.refusals: Counter[str] = Counter()
        self.responses: Counter[tuple[str, str, int]] = Counter()
        self.in_flight = 0
        self.clients_gone = 0


def front_door(source: FastAPI | Request) -> FrontDoor:
    """The front door of an app, or of the app a request came to."""
    app: Any = source.app if isinstance(source, Request) else source
    door = app.state.front_door
    assert isinstance(door, FrontDoor)
    return door

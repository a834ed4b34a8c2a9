"""Signs of life of an engine at work, and of no other."""

from __future__ import annotations

import time
from typing import cast

import pytest

from hailo_common.engine import pulse
from hailo_common.ipc.messages import Channel, Message


class Told:
    """A channel whose messages are kept."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def send(self, message: Message) -> None:
        """Keep it."""
        self.messages.append(message)


def test_an_engine_that_has_answered_says_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its parent takes a message of an idle engine for news, and reads the device because of it."""
    monkeypatch.setattr(pulse, "EVERY_S", 0.1)
    told, runs = Told(), {1}
    beating = pulse.Pulse(cast(Channel, told), lambda: bool(runs))
    beating.begin()
    time.sleep(0.02)
    runs.clear()
    time.sleep(0.3)
    assert told.messages == []
    runs.add(2)
    beating.begin()
    deadline = time.monotonic() + 10
    while len(told.messages) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert told.messages[:2] == [{"alive": True}] * 2
    runs.clear()

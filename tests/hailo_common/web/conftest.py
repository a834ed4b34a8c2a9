from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.hailo_common.web.client import StubServer, stub_server


@pytest.fixture(scope="session")
def shared_stub() -> Iterator[StubServer]:
    with stub_server(
        peer_connections=0,
        connections=0,
        head_deadline_s=1,
        body_deadline_s=1.5,
        write_deadline_s=1,
        linger_s=0.3,
        keep_alive_s=1,
    ) as server:
        yield server


@pytest.fixture
def stub(shared_stub: StubServer) -> Iterator[StubServer]:
    """A stub with short deadlines that must come through whatever the test does to it."""
    yield shared_stub
    shared_stub.check()
    shared_stub.wait_for(in_flight=1, budget_used=0, queued=0)

"""Connections that are slow, many, or end early: A1, A2, A6 to A8 and A15 of tests/threats.md."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import time
from collections.abc import Iterator

import pytest

from tests.hailo_common.web.client import StubServer, connect, is_closed, post, read_answer, stub_server, talk
from tests.hailo_common.web.stub import http_limits

GET = b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n"


def test_the_defaults_are_those_of_the_table() -> None:
    limits = http_limits()
    assert (limits.head_deadline_s, limits.peer_connections) == (5, 32)
    assert (limits.body_deadline_s, limits.body_bytes_per_s, limits.write_deadline_s) == (15, 65536, 30)
    assert (limits.body_budget, limits.linger_bytes, limits.keep_alive_s) == (32 * 2**20, 16 * 2**20, 75)
    assert (limits.chunk_allowance, limits.chunk_bytes) == (1000, 512)


@pytest.mark.parametrize(
    ("start", "status"),
    [
        pytest.param(b"", 0, id="A1-silent"),
        pytest.param(b"G", 408, id="A1-one-byte"),
        pytest.param(GET[:-2], 408, id="A1-slow-headers"),
        pytest.param(GET + GET[:-2], 408, id="A1-slow-headers-after-a-request"),
    ],
)
def test_a_head_that_does_not_come(stub: StubServer, start: bytes, status: int) -> None:
    with connect(stub.port) as sock:
        begun = time.monotonic()
        sock.sendall(start)
        if start.startswith(GET):
            assert read_answer(sock).status == 200
        answer = read_answer(sock)
        assert answer.status == status
        assert answer.status == 0 or answer.code == "request_timeout"
        assert is_closed(sock, within=2)
        assert time.monotonic() - begun < 4


def test_a1_dripping_does_not_help(stub: StubServer) -> None:
    with connect(stub.port) as sock:
        begun = time.monotonic()
        for byte in GET[:-2] * 10:
            with contextlib.suppress(ConnectionError):
                sock.send(bytes([byte]))
            time.sleep(0.02)
            if time.monotonic() - begun > 1.5:
                break
        assert read_answer(sock).status == 408
        assert time.monotonic() - begun < 4


def test_a8_idle_keep_alives_are_closed(stub: StubServer) -> None:
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(connect(stub.port)) for _ in range(60)]
        for sock in socks:
            sock.sendall(GET)
        assert [read_answer(sock).status for sock in socks] == [200] * len(socks)
        assert all(is_closed(sock, within=4) for sock in socks)


def test_a2_slow_body(stub: StubServer) -> None:
    with connect(stub.port) as sock:
        begun = time.monotonic()
        sock.sendall(post("/json", b"{}").replace(b"Content-Length: 2", b"Content-Length: 1000")[:-2])
        for _ in range(20):
            with contextlib.suppress(ConnectionError):
                sock.send(b" ")
            time.sleep(0.1)
        answer = read_answer(sock)
        assert (answer.status, answer.code) == (408, "request_timeout")
        assert is_closed(sock, within=2)
        assert time.monotonic() - begun < 10


def test_a2_bytes_that_arrive_extend_the_deadline() -> None:
    with (
        stub_server(body_deadline_s=0.5, body_bytes_per_s=1000, linger_s=0.2) as server,
        connect(server.port) as sock,
    ):
        body = b'{"a": "' + b"x" * 2000 + b'"}'
        head, _, _ = post("/json", body).partition(b"\r\n\r\n")
        sock.sendall(head + b"\r\n\r\n" + body[:1500])
        time.sleep(1)
        sock.sendall(body[1500:])
        assert read_answer(sock).status == 200


def test_a2_a_client_that_does_not_read_is_dropped(stub: StubServer) -> None:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", stub.port))
        sock.sendall(b"GET /big?mib=64 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        stub.wait_for(in_flight=2)
        begun = time.monotonic()
        stub.wait_for(in_flight=1)
        assert time.monotonic() - begun < 5
    assert stub.stats()["refusals"]["client_not_reading"] >= 1


def test_a7_pipelining_without_reading_is_bounded(stub: StubServer) -> None:
    before = stub.memory_mib(peak=False)
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", stub.port))
        sock.settimeout(0.3)
        sent = 0
        with contextlib.suppress(TimeoutError, ConnectionError):
            while sent < 64 * 2**20:
                sent += sock.send(GET * 2000)
        # What was taken is what the buffers of both ends hold, not what a client cares to send.
        assert sent < 32 * 2**20
        assert stub.memory_mib(peak=False) < before + 10
        assert stub.get("/ping") == {}
    stub.wait_for(connections=1)


def test_a7_pipelined_requests_are_all_answered(stub: StubServer) -> None:
    with connect(stub.port) as sock:
        sock.sendall(GET * 50)
        data = b""
        while data.count(b"HTTP/1.1 200") < 50:
            data += sock.recv(65536)


@pytest.fixture(scope="module")
def strict_stub() -> Iterator[StubServer]:
    with stub_server(head_deadline_s=4, peer_connections=32) as server:
        yield server
        server.check()


def test_a1_slowloris_and_the_cap_per_peer(strict_stub: StubServer) -> None:
    descriptors = strict_stub.descriptors()
    begun = time.monotonic()
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(connect(strict_stub.port)) for _ in range(400)]
        for sock in socks:
            with contextlib.suppress(ConnectionError):
                sock.sendall(GET[:-2])
        ask_from_elsewhere(strict_stub.port)
        strict_stub_has_at_most(strict_stub, descriptors + 34)
        answers = [read_answer(sock) for sock in socks]
    assert time.monotonic() - begun < 10
    assert sum(answer.status == 408 for answer in answers) == 32
    # A client that sends on after the refusal may see a reset in its place.
    assert {answer.status for answer in answers} <= {0, 408, 429}
    assert all(answer.code == "too_many_connections" for answer in answers if answer.status == 429)
    strict_stub.wait_for(connections=1)


def strict_stub_has_at_most(server: StubServer, descriptors: int) -> None:
    end = time.monotonic() + 2
    while server.descriptors() > descriptors:
        assert time.monotonic() < end
        time.sleep(0.05)


def ask_from_elsewhere(port: int) -> None:
    begun = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), source_address=("127.0.0.2", 0)) as sock:
        sock.sendall(GET)
        assert read_answer(sock).status == 200
    assert time.monotonic() - begun < 3


def test_answers_do_not_wait_for_an_acknowledgement(stub: StubServer) -> None:
    seconds = []
    with connect(stub.port) as sock:
        for _ in range(40):
            begun = time.monotonic()
            sock.sendall(GET)
            assert read_answer(sock).status == 200
            seconds.append(time.monotonic() - begun)
    assert sorted(seconds)[10] < 0.03


def test_the_cap_in_total_spares_who_works() -> None:
    with stub_server(peer_connections=0, connections=5) as server, contextlib.ExitStack() as stack:
        socks = [stack.enter_context(connect(server.port)) for _ in range(5)]
        for sock in socks:
            sock.sendall(b"GET /slow?seconds=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(0.3)
        assert talk(server.port, GET).status == 503
        assert [read_answer(sock).status for sock in socks] == [200] * 5
        server.check()


@pytest.mark.parametrize("caps", [{"peer_connections": 0, "connections": 5}, {"peer_connections": 5}])
def test_a8_the_connection_that_is_idle_longest_gives_way(caps: dict[str, int]) -> None:
    with stub_server(**caps) as server, contextlib.ExitStack() as stack:
        # The stub's own first request may still hold one.
        socks = [stack.enter_context(connect(server.port)) for _ in range(5)]
        for sock in (*socks, socks[0]):
            sock.sendall(GET)
            assert read_answer(sock).status == 200
        for _ in range(2):
            new = stack.enter_context(connect(server.port))
            new.sendall(GET)
            assert read_answer(new).status == 200
        assert is_closed(socks[1], within=2)
        assert is_closed(socks[2], within=2)
        for sock in (socks[0], socks[3], socks[4]):
            sock.sendall(GET)
            assert read_answer(sock).status == 200
        server.check()


def test_a6_many_tiny_chunks(stub: StubServer) -> None:
    stub.stats()
    head = b"POST /json HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with connect(stub.port) as sock:
        with contextlib.suppress(ConnectionError):
            sock.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n" + b"1;ext=abcdef\r\nx\r\n" * 1_000_000)
        answer = read_answer(sock)
    assert (answer.status, answer.code) == (400, "too_many_chunks")
    assert stub.stats()["stall_ms"] < 250


def test_a6_chunks_of_a_normal_client_are_no_problem(stub: StubServer) -> None:
    head = b"POST /json HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    body = b'{"a": "' + b"x" * 1_200_000 + b'"}'
    chunks = b"".join(
        b"%x\r\n%b\r\n" % (len(c), c) for c in (body[i : i + 600] for i in range(0, len(body), 600))
    )
    answer = talk(stub.port, head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
    assert answer.status == 200


def test_a15_hanging_up_ends_the_work(stub: StubServer) -> None:
    before = stub.stats()["cancelled"]
    with connect(stub.port) as sock:
        sock.sendall(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
        stub.wait_for(in_flight=2)
        begun = time.monotonic()
    stub.wait_for(in_flight=1, cancelled=before + 1)
    assert time.monotonic() - begun < 1


def abort(port: int, data: bytes, *, reset: bool) -> None:
    with connect(port) as sock:
        if reset:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.sendall(data)


def test_a15_each_random_abort_leaves_one_line_in_the_log(stub: StubServer) -> None:
    chance = random.Random(15)
    image = b'{"image":"data:image/png;base64,' + b"QUJD" * 5000 + b'"}'
    whole = [
        post("/json", image),
        post("/queue", image),
        b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ]
    descriptors = stub.descriptors()
    lines, before = stub.log().count("\n"), stub.stats()["clients_gone"]
    for turn in range(2000):
        if turn % 50 == 0:
            # The caps are off here: let the server catch up.
            stub.get("/ping")
        data = chance.choice(whole)
        end = chance.randrange(100, len(data)) if data.startswith(b"POST") else len(data)
        abort(stub.port, data[:end], reset=chance.random() < 0.5)
    stats = stub.wait_for(in_flight=1, connections=1, queued=0, budget_used=0)
    new = stub.log().splitlines()[lines:]
    assert [line for line in new if "evt=request" not in line] == []
    assert stats["clients_gone"] > 500
    assert sum("status=499" in line for line in new) == stats["clients_gone"] - before
    assert stub.descriptors() <= descriptors + 2
    assert stats["tasks"] < 10

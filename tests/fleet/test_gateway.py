"""The gateway with HAProxy of Debian 13, in front of stand-in nodes that work as long as a test wants."""

from __future__ import annotations

import contextlib
import json
import random
import re
import socket
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import httpx
import pytest

from tests.fleet import names
from tests.fleet.gateway import ADDRESS, ADDRESSES, DEADLINE_S, Gateway, ask, question
from tests.fleet.nodes import PORT, Node
from tests.fleet.roots import told

pytestmark = pytest.mark.fleet


@pytest.fixture
def clients() -> Iterator[ThreadPoolExecutor]:
    """Clients that ask at the same time."""
    with ThreadPoolExecutor(16) as pool:
        yield pool


def _await(condition: object, what: str) -> None:
    assert callable(condition)
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def _hold(nodes: list[Node]) -> None:
    for node in nodes:
        node.go_on.clear()


def _release(nodes: list[Node]) -> None:
    for node in nodes:
        node.go_on.set()


def test_every_node_works_and_none_gets_more_than_one_request_at_a_time(
    gateway: Gateway, nodes: list[Node], clients: ThreadPoolExecutor
) -> None:
    _hold(nodes)
    with gateway.running(3):
        answers = [clients.submit(ask, question(f"question {n}")) for n in range(9)]
        _await(lambda: all(len(node.seen) == 1 for node in nodes), "each node has one request")
        _release(nodes)
        assert [answer.result().status_code for answer in answers] == [200] * 9
    assert [node.most_at_once for node in nodes] == [1, 1, 1]
    assert sum(len(node.seen) for node in nodes) == 9


def test_a_streamed_answer_comes_while_it_is_made(gateway: Gateway, nodes: list[Node]) -> None:
    _hold(nodes)
    body = {**question("stream"), "stream": True}
    with (
        gateway.running(3),
        httpx.stream(
            "POST", f"http://{ADDRESS}/v1/chat/completions", json=body, timeout=DEADLINE_S
        ) as answer,
    ):
        lines = answer.iter_lines()
        # The node sends the rest only after this has arrived.
        assert next(lines) == "data: one"
        _release(nodes)
        assert [line for line in lines if line] == ["data: [DONE]"]


def test_a_killed_node_loses_only_what_it_had_begun(
    gateway: Gateway, nodes: list[Node], clients: ThreadPoolExecutor
) -> None:
    _hold(nodes)
    with gateway.running(3):
        answers = [clients.submit(ask, question(f"question {n}")) for n in range(12)]
        _await(lambda: all(len(node.seen) == 1 for node in nodes), "each node has one request")
        nodes[0].die()
        _release(nodes)
        done = [answer.result() for answer in answers]
        gateway.await_nodes(2)
    statuses = sorted(answer.status_code for answer in done)
    assert statuses == [200] * 11 + [502]
    failed = next(answer for answer in done if answer.status_code == 502)
    assert failed.json()["error"]["code"] == "node_failed"
    begun = [json.dumps(request) for node in nodes for request in node.seen]
    assert len(begun) == len(set(begun)) == 12, "no request was begun twice"


def test_a_node_that_is_not_ready_gets_nothing(gateway: Gateway, nodes: list[Node]) -> None:
    nodes[1].ready = False
    with gateway.running(2):
        for n in range(6):
            assert ask(question(f"question {n}")).status_code == 200
        ready = httpx.get(f"http://{ADDRESS}/health/ready").json()
        assert ready == {"ready": True, "nodes": 2}
        for node in nodes:
            node.ready = False
        gateway.await_nodes(0)
        assert httpx.get(f"http://{ADDRESS}/health/ready").status_code == 503
    assert nodes[1].seen == []


def test_when_no_node_is_free_in_time_the_client_is_told_when_to_come_back(
    gateway: Gateway, nodes: list[Node], clients: ThreadPoolExecutor
) -> None:
    gateway.set(queue_timeout="1")
    _hold(nodes)
    with gateway.running(3):
        held = [clients.submit(ask, question(f"question {n}")) for n in range(3)]
        _await(lambda: all(node.seen for node in nodes), "each node has one request")
        refused = ask(question("too much"))
        _release(nodes)
        assert {answer.result().status_code for answer in held} == {200}
    assert refused.status_code == 503
    assert refused.headers["Retry-After"] == "5"
    assert refused.json()["error"]["code"] == "overloaded"


@pytest.mark.parametrize("image", ["", "short", "long"])
def test_later_questions_go_to_the_node_that_holds_the_conversation(
    gateway: Gateway, nodes: list[Node], image: str
) -> None:
    size = {"": 0, "short": 3000, "long": 300_000}[image]
    with gateway.running(3):
        for n in range(6):
            data = "".join(random.Random(n).choices("ABCDEFGHabcdefgh0123456789+/", k=size))
            first = ask(question(f'what is {{{n}}} \\ " [', image=data)).json()["node"]
            turns: list[str] = []
            for turn in range(3):
                turns += [f"answer {turn}", f"and then {turn}?"]
                told = ask(question(f'what is {{{n}}} \\ " [', *turns, image=data)).json()["node"]
                assert told == first
    assert all(node.seen for node in nodes), "different conversations are spread"


def test_equal_first_questions_do_not_crowd_one_node(
    gateway: Gateway, nodes: list[Node], clients: ThreadPoolExecutor
) -> None:
    _hold(nodes)
    with gateway.running(3):
        answers = [clients.submit(ask, question("describe", image="A" * 200_000)) for _ in range(9)]
        _await(lambda: all(node.seen for node in nodes), "each node has one of the equal requests")
        _release(nodes)
        assert {answer.result().status_code for answer in answers} == {200}


def test_keys_end_at_the_gateway(gateway: Gateway, nodes: list[Node]) -> None:
    gateway.set(api_keys="yes")
    assert "there is no key" in gateway.command("check", check=False)
    key = gateway.command("key add frigate").strip()
    assert key not in (gateway.view / "etc/hailo-gateway/keys").read_text()
    with gateway.running(3):
        for wrong in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": f"Basic {key}"}):
            refused = ask(question("hello"), **wrong)
            assert refused.status_code == 401
            assert refused.json()["error"]["code"] == "invalid_api_key"
        assert ask(question("hello"), Authorization=f"Bearer {key}").status_code == 200
        assert httpx.get(f"http://{ADDRESS}/v1/models").status_code == 401
    (headers,) = [each for node in nodes for each in node.headers]
    assert "authorization" not in headers
    assert headers["host"] == "localhost"
    assert key not in gateway.log()


def test_too_many_requests_of_one_client_are_refused(gateway: Gateway, nodes: list[Node]) -> None:
    gateway.set(rate_limit="5")
    with gateway.running(3):
        statuses = [ask(question(f"question {n}")).status_code for n in range(8)]
        refused = ask(question("more"))
    assert statuses == [200] * 5 + [429] * 3
    assert refused.headers["Retry-After"] == "10"


def test_tls_ends_at_the_gateway(gateway: Gateway, nodes: list[Node]) -> None:
    told(
        gateway.root,
        "cd /etc/hailo-gateway && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
        " -subj /CN=gateway.test -addext subjectAltName=IP:127.0.0.1 -days 2 -keyout key.pem -out cert.pem"
        " && cat cert.pem key.pem >tls.pem",
    )
    gateway.set(certificate="/etc/hailo-gateway/tls.pem")
    trusted = ssl.create_default_context(cafile=str(gateway.view / "etc/hailo-gateway/cert.pem"))
    with gateway.running(3):
        answer = httpx.post(f"https://{ADDRESS}/v1/chat/completions", json=question("hi"), verify=trusted)
        assert answer.status_code == 200
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"http://{ADDRESS}/v1/models")


def test_a_drained_node_ends_its_work_and_gets_no_more(
    gateway: Gateway, nodes: list[Node], clients: ThreadPoolExecutor
) -> None:
    with gateway.running(3):
        nodes[0].go_on.clear()
        held: Future[httpx.Response]
        held = clients.submit(ask, question("long work"))
        _await(lambda: any(node.seen for node in nodes), "a node has the request")
        drained = next(node for node in nodes if node.seen)
        drained.go_on.clear()
        gateway.command(f"drain {drained.address} 1", check=False)
        for n in range(6):
            answer = clients.submit(ask, question(f"question {n}")).result()
            assert answer.json()["node"] != drained.address
        _release(nodes)
        assert held.result().status_code == 200
        gateway.command(f"drain {drained.address} 30")
        gateway.command(f"ready {drained.address}")
        _await(lambda: ask(question("again")).json()["node"] == drained.address, "it gets requests again")


def test_a_broken_configuration_changes_nothing(gateway: Gateway, nodes: list[Node]) -> None:
    with gateway.running(3):
        rendered = gateway.view / "run/hailo-gateway/haproxy.cfg"
        before = rendered.read_bytes()
        for broken in (
            {"nodes": "a;b"},
            {"nodes": ""},
            {"listen": "0.0.0.0 bind *:1"},
            {"certificate": "/no"},
        ):
            gateway.set(**broken)
            assert "hailo-gateway:" in gateway.command("write", check=False)
            assert rendered.read_bytes() == before
            gateway.set(nodes=" ".join(ADDRESSES), listen="127.0.0.1", certificate="")
        assert gateway.command("check").strip().endswith("is good")


def test_prometheus_can_read_the_gateway(gateway: Gateway, nodes: list[Node]) -> None:
    with gateway.running(3):
        assert ask(question("hello")).status_code == 200
        told = httpx.get(f"http://127.0.0.1:{PORT + 1}/metrics").text
        assert 'haproxy_server_status{proxy="hailo-vision",server="127.0.0.11",state="UP"} 1' in told
        assert httpx.get(f"http://{ADDRESS}/metrics").status_code == 404


def test_nodes_come_and_go_by_dns(gateway: Gateway, nodes: list[Node]) -> None:
    gateway.root.file("/etc/resolv.conf").unlink(missing_ok=True)
    gateway.root.file("/etc/resolv.conf").write_text(f"nameserver {names.ADDRESS}\n")
    gateway.set(nodes="", nodes_dns=names.NAME)
    with names.named([*ADDRESSES[:2]]) as server, gateway.running(2):
        assert {ask(question(f"question {n}")).json()["node"] for n in range(6)} == set(ADDRESSES[:2])
        server.addresses = [ADDRESSES[2]]
        gateway.await_nodes(1)
        assert {ask(question(f"question {n}")).json()["node"] for n in range(3)} == {ADDRESSES[2]}


def _raw(data: bytes) -> bytes:
    """What comes back for these bytes, until the gateway closes or says nothing more."""
    with socket.create_connection(("127.0.0.1", PORT), 10) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(5)
        got = b""
        with contextlib.suppress(TimeoutError, ConnectionError):
            while piece := connection.recv(65536):
                got += piece
    return got


def _get(path: str, *fields: str, host: str = "localhost", method: str = "GET") -> bytes:
    head = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close", *fields]
    return _raw("\r\n".join([*head, "", ""]).encode("latin-1"))


_PATHS = (
    *("/%6detrics", "/metrics%00", "/./metrics", "//metrics", "/x/../metrics", "/x/%2e%2e/metrics"),
    *("/metrics;x", "/\\metrics", "/metr%69cs?a", "/..%2fmetrics", "/v1/.hidden"),
)


def test_what_the_rules_see_is_what_a_node_sees(gateway: Gateway, nodes: list[Node]) -> None:
    """Threat K1: a node decodes what a rule compares, and gave away its metrics."""
    with gateway.running(3):
        for path in _PATHS:
            reply = _get(path)
            assert reply.split(b" ")[1] == b"400", path
        assert b"invalid_path" in _get(_PATHS[0])
        whole = f"http://localhost:{PORT}/metrics"
        assert _get(whole, host=f"localhost:{PORT}").split(b" ")[1] == b"404"
        assert _get("/v1/models").split(b" ")[1] == b"200"


def test_it_answers_to_its_own_names_only(gateway: Gateway, nodes: list[Node]) -> None:
    """Threat K2: every page whose name leads to this address (DNS rebinding) was let in, as `localhost`."""
    gateway.set(names="vision.example")
    with gateway.running(3):
        for good in ("localhost", f"127.0.0.1:{PORT}", "[::1]", "vision.example", "VISION.example:80"):
            assert _get("/v1/models", host=good).split(b" ")[1] == b"200", good
        for bad in (
            "evil.example",
            "vision.example.evil",
            "visionxexample",
            "",
            "localhost evil",
            "127.0.0.1.evil",
        ):
            assert _get("/v1/models", host=bad).split(b" ")[1] in (b"421", b"400"), bad
        assert b"unknown_host" in _get("/v1/models", host="evil.example")
    gateway.set(names="*")
    with gateway.running(3):
        assert _get("/v1/models", host="evil.example").split(b" ")[1] == b"200"


def test_wrong_keys_are_limited_by_address_and_good_ones_are_not(gateway: Gateway, nodes: list[Node]) -> None:
    """Threat K3."""
    key = gateway.command("key add one").strip()
    gateway.set(api_keys="yes")
    with gateway.running(3):
        statuses = [ask(question("hi"), Authorization=f"Bearer wrong-{n}").status_code for n in range(40)]
        assert statuses == [401] * 30 + [429] * 10
        assert ask(question("hi"), Authorization=f"Bearer {key}").status_code == 200


def test_what_a_browser_asks_beforehand_ends_at_the_gateway(gateway: Gateway, nodes: list[Node]) -> None:
    gateway.set(api_keys="yes")
    gateway.command("key add one")
    with gateway.running(3):
        _hold(nodes)
        reply = _get("/v1/chat/completions", method="OPTIONS")
        assert reply.split(b" ")[1] == b"204"
        assert b"get, head, options, post" in reply.lower()
        _release(nodes)


def test_a_node_is_told_by_its_gateway_alone_who_asks(gateway: Gateway, nodes: list[Node]) -> None:
    """Threat D1 behind a gateway: clients share neither what nodes keep nor the place where it is kept."""
    gateway.view.joinpath("etc/hailo-gateway/node.key").write_text("# ours\nkey-of-the-nodes\n")
    keys = [gateway.command(f"key add {name}").strip() for name in ("one", "other")]
    gateway.set(api_keys="yes", node_key_file="/etc/hailo-gateway/node.key")
    with gateway.running(3):
        mode = gateway.view.joinpath("run/hailo-gateway/haproxy.cfg").stat().st_mode
        assert not mode & 0o077, "the nodes' key stands in it"
        for key in keys:
            forged = {"X-Hailo-Client": "the-other", "X-Api-Key": "key-of-the-nodes"}
            assert ask(question("the same"), Authorization=f"Bearer {key}", **forged).status_code == 200
        command = "echo 'show table hailo-vision' | socat stdio unix-connect:/run/hailo-gateway/admin.sock"
        assert "used:2" in told(gateway.root, command)
    headers = [each for node in nodes for each in node.headers]
    assert [each["authorization"] for each in headers] == ["Bearer key-of-the-nodes"] * 2
    clients = {each["x-hailo-client"] for each in headers}
    assert len(clients) == 2
    assert all(re.fullmatch(r"[A-Za-z0-9._:-]{1,128}", client) for client in clients), "as a node takes it"
    assert not any(key in client for key in keys for client in clients)
    assert not any("x-api-key" in each for each in headers)


_SMUGGLED = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nX-Smuggled: 1\r\n\r\n{}"
)
_HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"


_FRAMINGS = (
    b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
    b"Content-Length: 4\r\nContent-Length: 0\r\n",
    b"Content-Length: 0, 4\r\n",
    b"Content-Length: +4\r\n",
    b"Content-Length: 0x4\r\n",
    b"Content-Length : 0\r\n",
    b"Content-Length: 0\nX: y\r\n",
    b"X: a\r\n Content-Length: 0\r\n",
    b"Transfer-Encoding: xchunked\r\n",
    b"Transfer-Encoding : chunked\r\n",
    b"Transfer-Encoding:\x0bchunked\r\n",
    b"Transfer-Encoding: chunked, identity\r\n",
    b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n",
    b"Content-Length: 4\r\nConnection: Content-Length\r\n",
    b"Content-Length: 4\x00\r\n",
    b"Content_Length: 0\r\nTransfer_Encoding: chunked\r\n",
)


def test_no_request_hides_behind_another(gateway: Gateway, nodes: list[Node]) -> None:
    """Threat K4, on Debian 13's HAProxy 3.0: what a node takes for a request, the rules saw as one."""
    with gateway.running(3):
        for head in _FRAMINGS:
            for body in (b"0\r\n\r\n", b""):
                _raw(_HEAD + head + b"\r\n" + body + _SMUGGLED)
            passed = gateway.log().count("method=POST path=/v1/chat/completions")
            assert sum(len(node.seen) for node in nodes) <= passed, head
            assert sum("x-smuggled" in each for node in nodes for each in node.headers) <= passed, head

"""Threats A10 and A12 to A14 of tests/threats.md, and what the app adds to every answer."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import time
from collections.abc import Iterator
from importlib.util import find_spec
from types import SimpleNamespace
from typing import cast

import pytest

from hailo_common.engine.pool import EnginePool
from hailo_common.web.errors import flat_format
from hailo_common.web.metrics import Metrics
from hailo_common.web.state import ServerState
from tests.hailo_common.web.client import Answer, StubServer, post, stub_server, talk
from tests.hailo_common.web.stub import http_limits


def get(
    port: int, path: str = "/ping", *, method: str = "GET", fields: str = "", host: str = "localhost"
) -> Answer:
    return talk(port, f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n".encode())


@pytest.fixture(scope="module")
def own_stub() -> Iterator[StubServer]:
    with stub_server(docs=True, hosts=["vision.example"], keep_alive_s=1) as server:
        yield server
        server.check()


MACHINE = socket.gethostname().partition(".")[0]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:11435", 200),
        ("localhost.", 200),
        (MACHINE, 200),
        (f"{MACHINE}.local:80", 200),
        ("vision.example", 200),
        ("127.0.0.1:11435", 200),
        ("192.168.1.7", 200),
        ("[::1]", 200),
        ("[fe80::1]:11435", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("vision.example.evil.example", 421),
        ("127.0.0.1.nip.io", 421),
        ("2130706433", 421),
        ("0x7f.1", 421),
        ("[::1", 400),
        ("::1", 400),
        ("localhost:port", 400),
        ("user@localhost", 400),
        ("localhost/x", 400),
        ("", 400),
    ],
    ids=lambda value: f"A10-{value}" if isinstance(value, str) else None,
)
def test_host_names(own_stub: StubServer, host: str, status: int) -> None:
    answer = get(own_stub.port, host=host)
    assert answer.status == status
    assert status == 200 or answer.code == {421: "misdirected_request", 400: "bad_host"}[status]
    assert status != 421 or b"allowed_hosts" in answer.body


def test_any_host_when_asked_for() -> None:
    with stub_server(hosts=["*"]) as server:
        assert get(server.port, host="anything.example").status == 200


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        pytest.param("", 200, id="A10-no-origin"),
        pytest.param("Origin: http://localhost:11435\r\n", 200, id="A10-own-page"),
        pytest.param("Origin: https://vision.example\r\n", 200, id="A10-own-name"),
        pytest.param("Sec-Fetch-Site: same-origin\r\n", 200, id="A10-same-origin"),
        pytest.param("Origin: http://evil.example\r\n", 403, id="A10-foreign-page"),
        pytest.param("Origin: http://203.0.113.5\r\n", 403, id="A10-foreign-address"),
        pytest.param("Origin: null\r\n", 403, id="A10-sandboxed-page"),
        pytest.param("Origin: http://[\r\n", 403, id="A10-malformed-origin"),
        pytest.param("Sec-Fetch-Site: cross-site\r\n", 403, id="A10-cross-site"),
    ],
)
def test_posts_of_other_sites(own_stub: StubServer, fields: str, status: int) -> None:
    """A form needs no preflight, so its origin is looked at."""
    form = b'--B\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n--B--\r\n'
    answer = talk(own_stub.port, post("/form", form, "multipart/form-data; boundary=B", fields))
    assert answer.status == status
    assert status == 200 or answer.code == "cross_origin_refused"
    assert status == 200 or b"cors_origins" in answer.body
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_no_preflight_is_granted(own_stub: StubServer) -> None:
    fields = "Origin: http://evil.example\r\nAccess-Control-Request-Method: POST\r\n"
    answer = get(own_stub.port, "/json", method="OPTIONS", fields=fields)
    assert (answer.status, answer.headers["allow"]) == (204, "OPTIONS, POST")
    assert "access-control-allow-origin" not in answer.headers


TRAVERSALS = [
    "/" + prefix * depth + target
    for prefix in (
        "../",
        "%2e%2e/",
        "%2e%2e%2f",
        "..%2f",
        "..\\",
        "%2e%2e%5c",
        "..%00/",
        "..;/",
        "%c0%ae%c0%ae/",
        "....//",
    )
    for depth in (1, 2, 5, 8)
    for target in (
        "etc/passwd",
        "etc/hailo/x.yaml",
        "proc/self/environ",
        "%00",
        "ping",
        "docs",
        "stats%00",
        "~root",
    )
] + [
    "///etc/passwd",
    "/ping/..",
    "/./ping",
    "/%",
    "/%zz",
    "/ping%00",
    "/PING",
    "/ping;x",
    "/\\",
]


def test_a12_path_tricks(own_stub: StubServer) -> None:
    with new_lines(own_stub) as new:
        statuses = {path: get(own_stub.port, path).status for path in TRAVERSALS}
    assert {path: status for path, status in statuses.items() if status != 404} == {}
    assert len(TRAVERSALS) > 300
    # Each is told to the operator, in characters that cannot forge a line.
    assert all(re.fullmatch(r"[A-Za-z0-9/_.~:{}?-]{1,103}", json.loads(line)["path"]) for line in new)


@pytest.mark.parametrize(
    "path", ["/docs", "/openapi.json", "/redoc", "/docs/oauth2-redirect", "/docs/start.js"]
)
def test_a13_no_api_page_unless_asked_for(stub: StubServer, path: str) -> None:
    assert get(stub.port, path).status == 404


@pytest.mark.skipif(
    find_spec("fastapi_offline") is None, reason="the package of the page's files is not there"
)
def test_api_page_is_whole_and_local(own_stub: StubServer) -> None:
    page = get(own_stub.port, "/docs")
    assert page.status == 200
    assert "default-src 'self'" in page.headers["content-security-policy"]
    links = re.findall(r'(?:src|href)="([^"]+)"', page.body.decode())
    assert len(links) == 4
    for link in links:
        assert get(own_stub.port, f"/{link}").status == 200
    assert b"http" not in page.body.replace(b"http-equiv", b"")
    assert b"http" not in get(own_stub.port, "/docs/start.js").body
    # The style sheet may load from nowhere else; the script cannot, by the policy.
    assert not re.search(rb"url\(\s*[\"']?(?:https?:)?//", get(own_stub.port, "/docs/swagger-ui.css").body)
    assert "/json" in get(own_stub.port, "/openapi.json").json["paths"]


@contextlib.contextmanager
def new_lines(server: StubServer) -> Iterator[list[str]]:
    """The lines that the log got during the block, filled in at its end."""
    lines: list[str] = []
    # The log reports what it suppressed of earlier tests with the first line after a second.
    time.sleep(1.1)
    get(server.port, fields="X-Request-ID: mark.begin\r\n")
    yield lines
    get(server.port, fields="X-Request-ID: mark.end\r\n")
    end = time.monotonic() + 5
    while "mark.end" not in server.log().rpartition("mark.begin")[2]:
        assert time.monotonic() < end
        time.sleep(0.02)
    lines += server.log().rpartition("mark.begin")[2].splitlines()[1:-1]


def test_a14_nothing_of_the_client_reaches_the_log(own_stub: StubServer) -> None:
    with new_lines(own_stub) as new:
        send_hostile_texts(own_stub)
    assert len(new) == 8
    assert all(re.fullmatch(r"[\x20-\x7e]+", line) and json.loads(line)["level"] == "INFO" for line in new)
    # Only an address where there is nothing is shown, without what could forge a line.
    (found,) = [line for line in new if "PWNED" in line]
    assert json.loads(found)["path"] == "/?0?PWNED??"


def send_hostile_texts(own_stub: StubServer) -> None:
    get(own_stub.port, "/%0a%3C0%3EPWNED%1b%e2%80%ae?PWNED=%0a%3C0%3E")
    get(own_stub.port, fields="User-Agent: <0>PWNED\r\nX-Forwarded-For: PWNED\r\nReferer: PWNED\r\n")
    get(own_stub.port, fields="X-Request-ID: <0>PWNED\r\n")
    get(own_stub.port, method="PWNED")
    get(own_stub.port, host="PWNED.example")
    talk(own_stub.port, b"PWNED\r\n\r\n")
    body = '{"PWNED": "\\n<0>PWNED\\u001b\u202e", "image": "PWNED"}'.encode()
    talk(own_stub.port, post("/json", body))
    form = b'--B\r\nContent-Disposition: form-data; name="PWNED"; filename="\n<0>PWNED"\r\n\r\nx\r\n--B--\r\n'
    talk(own_stub.port, post("/form", form, "multipart/form-data; boundary=B"))


def test_one_line_a_request(own_stub: StubServer) -> None:
    with new_lines(own_stub) as new:
        get(own_stub.port, fields="X-Request-ID: abc-1\r\n")
        get(own_stub.port, "/nothing", fields="X-Request-ID: abc-2\r\n")
    assert len(new) == 2
    first, second = map(json.loads, new)
    assert (first["request_id"], second["request_id"]) == ("abc-1", "abc-2")
    text = r"evt=request endpoint=/ping method=GET status=200 duration_ms=\d+ peer=127.0.0.1"
    assert re.fullmatch(text, first["message"])
    text = r"evt=refused endpoint=- method=GET status=404 .* code=not_found"
    assert re.fullmatch(text, second["message"])


def test_every_route_is_counted_by_its_template(own_stub: StubServer) -> None:
    """Also where a request does not reach its route; all other addresses have one label together."""
    with new_lines(own_stub) as new:
        get(own_stub.port, "/openapi.json")
        get(own_stub.port, method="OPTIONS")
        get(own_stub.port, host="evil.example")
        get(own_stub.port, "/json")
        get(own_stub.port, "/nothing/PWNED")
        get(own_stub.port, "/nothing/PWNED", host="evil.example")
    found = [re.findall(r"endpoint=(\S+) .*status=(\d+)", line) for line in new]
    assert found == [
        [("/openapi.json", "200")],
        [("/ping", "204")],
        [("/ping", "421")],
        [("/json", "405")],
        [("-", "404")],
        [("-", "421")],
    ]


def test_the_summary_counts_posts_to_any_route() -> None:
    state = ServerState(error_format=flat_format, limits=http_limits())
    state.responses.update(
        {
            ("/v1/caption", "POST", 200): 2,
            ("/api/chat", "POST", 200): 1,
            ("/api/chat", "POST", 503): 4,
            ("-", "POST", 404): 8,
            ("/health", "GET", 200): 16,
        }
    )
    pool = cast("EnginePool", SimpleNamespace(running=0, waiting=0))
    summary = Metrics("stub", pool, state, dict).summary()
    assert [summary[f"requests_{name}"] for name in ("total", "succeeded", "failed")] == [7, 3, 4]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("abc.DEF_1-2", True),
        ("a" * 128, True),
        ("a" * 129, False),
        ("a b", False),
        ("<0>", False),
        ("", False),
    ],
)
def test_request_ids(stub: StubServer, given: str, kept: bool) -> None:
    seen = get(stub.port, fields=f"X-Request-ID: {given}\r\n").headers["x-request-id"]
    assert (seen == given) if kept else re.fullmatch("[0-9a-f]{32}", seen)


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("HEAD", "/ping", 200, None),
        ("HEAD", "/json", 405, "POST"),
        ("HEAD", "/nothing", 404, None),
        ("POST", "/ping", 405, "GET"),
        ("OPTIONS", "/ping", 204, "GET, HEAD, OPTIONS"),
        ("OPTIONS", "/nothing", 404, None),
        ("DELETE", "/json", 405, "POST"),
        ("FOO", "/ping", 405, "GET"),
    ],
)
def test_methods(stub: StubServer, method: str, path: str, status: int, allow: str | None) -> None:
    answer = talk(
        stub.port, f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    )
    assert (answer.status, answer.headers.get("allow")) == (status, allow)
    assert (answer.body == b"") == (method == "HEAD" or status == 204)
    assert method != "HEAD" or int(answer.headers["content-length"]) > 0

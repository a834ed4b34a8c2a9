"""What arrives as a request head, and what is answered: A3, A9 and A11 of tests/threats.md."""

from __future__ import annotations

import h11
import pytest

from tests.hailo_common.web.client import StubServer, connect, is_closed, post, read_answer, talk

HOST = "Host: localhost\r\n"
# h11 0.14 as on PyPI; Debian's package of it has the fix of CVE-2025-43859.
OLD_H11 = isinstance(getattr(h11._readers.ChunkedReader(), "_bytes_to_discard", b""), int)


def get(fields: str = "", target: str = "/ping", version: str = "1.1", host: str = HOST) -> bytes:
    return f"GET {target} HTTP/{version}\r\n{host}{fields}\r\n".encode("latin-1")


def chunked(body: str, fields: str = "") -> bytes:
    head = f"POST /json HTTP/1.1\r\n{HOST}Content-Type: application/json\r\n{fields}"
    return f"{head}Transfer-Encoding: chunked\r\n\r\n{body}".encode()


def sized(*lengths: str) -> bytes:
    fields = "".join(f"Content-Length: {length}\r\n" for length in lengths)
    return f"POST /json HTTP/1.1\r\n{HOST}Content-Type: application/json\r\n{fields}\r\n{{}}".encode()


H2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
TLS_HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(range(200))

REFUSED = [
    pytest.param(get("X: " + "a" * 70_000 + "\r\n"), 431, "head_too_large", id="A3-one-huge-header"),
    pytest.param(get("X: y\r\n" * 200), 431, "head_too_large", id="A3-200-headers"),
    pytest.param(get("X: y\r\n" * 20_000), 431, "head_too_large", id="A3-20000-headers"),
    pytest.param(get(target="/" + "a" * 70_000), 431, "head_too_large", id="A3-huge-url"),
    pytest.param(b"GET /" + b"a" * 300_000, 431, "head_too_large", id="A3-endless-url"),
    pytest.param(
        chunked("0\r\n\r\n", "Content-Length: 5\r\n"), 400, "bad_framing", id="A9-length-and-coding"
    ),
    pytest.param(sized("2", "3"), 400, "bad_framing", id="A9-two-lengths"),
    pytest.param(sized("2", "2"), 400, "bad_framing", id="A9-same-length-twice"),
    pytest.param(sized("2, 2"), 400, "bad_framing", id="A9-length-list"),
    pytest.param(sized("+2"), 400, "bad_framing", id="A9-plus-length"),
    pytest.param(sized("-1"), 400, "bad_framing", id="A9-minus-length"),
    pytest.param(sized("0x2"), 400, "bad_framing", id="A9-hex-length"),
    pytest.param(sized(""), 400, "bad_framing", id="A9-empty-length"),
    pytest.param(sized("9" * 5000), 400, "bad_framing", id="A9-5000-digit-length"),
    pytest.param(
        chunked("0\r\n\r\n", "Transfer-Encoding: gzip\r\n"), 400, "bad_framing", id="A9-two-transfer-codings"
    ),
    pytest.param(chunked("").replace(b"chunked", b"gzip, chunked"), 400, "bad_framing", id="A9-coding-list"),
    pytest.param(chunked("").replace(b"HTTP/1.1", b"HTTP/1.0"), 400, "bad_framing", id="A9-chunked-in-1.0"),
    pytest.param(
        chunked("2\r\n{}XX0\r\n\r\n"),
        400,
        "invalid_http",
        id="A9-bad-chunk-end",
        marks=pytest.mark.skipif(OLD_H11, reason="this h11 lacks the fix of CVE-2025-43859"),
    ),
    pytest.param(chunked("zz\r\n"), 400, "invalid_http", id="A9-bad-chunk-size"),
    pytest.param(chunked("-2\r\n{}\r\n0\r\n\r\n"), 400, "invalid_http", id="A9-negative-chunk-size"),
    pytest.param(get().replace(b"\r\n", b"\n"), 400, "bad_line_ending", id="A9-bare-lf"),
    pytest.param(get("X: y\nZ: z\r\n"), 400, "bad_line_ending", id="A9-one-bare-lf"),
    pytest.param(get("X: y\n\n"), 400, "bad_line_ending", id="A9-head-ended-by-lf"),
    pytest.param(get("X: y\rZ: z\r\n"), 400, "invalid_http", id="A9-bare-cr"),
    pytest.param(get("X: y\r\n z\r\n"), 400, "folded_header", id="A9-obs-fold"),
    pytest.param(get(host="Host: localhost\r\n\tx\r\n"), 400, "folded_header", id="A9-obs-fold-tab"),
    pytest.param(get(host="Host : localhost\r\n"), 400, "invalid_http", id="A9-space-before-colon"),
    pytest.param(get("X\r\n"), 400, "invalid_http", id="A9-no-colon"),
    pytest.param(get("X: a\0b\r\n"), 400, "invalid_http", id="A9-nul-in-header"),
    pytest.param(get(host=""), 400, "invalid_http", id="A9-no-host"),
    pytest.param(get(host=HOST * 2), 400, "invalid_http", id="A9-two-hosts"),
    pytest.param(get(version="0.9"), 400, "invalid_http", id="A9-http-0.9"),
    pytest.param(b"GET /ping\r\n\r\n", 400, "invalid_http", id="A9-no-version"),
    pytest.param(get(version="1.2"), 400, "invalid_http", id="A9-http-1.2"),
    pytest.param(b" " + get(), 400, "invalid_http", id="A9-leading-space"),
    pytest.param(b"\r\n" * 5 + get(), 400, "invalid_http", id="A9-five-empty-lines"),
    pytest.param(b"\n" + get(), 400, "invalid_http", id="A9-empty-line-of-lf"),
    pytest.param(get(target="ftp://localhost/ping"), 400, "bad_target", id="A11-other-scheme"),
    pytest.param(get(target="http://me@localhost/ping"), 400, "bad_target", id="A11-userinfo"),
    pytest.param(
        b"TRACE /ping HTTP/1.1\r\n" + HOST.encode() + b"\r\n", 405, "method_not_allowed", id="A11-trace"
    ),
    pytest.param(
        b"CONNECT localhost:80 HTTP/1.1\r\n" + HOST.encode() + b"\r\n",
        405,
        "method_not_allowed",
        id="A11-connect",
    ),
    pytest.param(
        b"OPTIONS * HTTP/1.1\r\n" + HOST.encode() + b"\r\n", 400, "bad_target", id="A11-options-star"
    ),
    pytest.param(TLS_HELLO, 400, "invalid_http", id="A11-tls-hello"),
    pytest.param(H2_PREFACE, 400, "invalid_http", id="A11-h2-preface"),
    pytest.param(b"SSH-2.0-OpenSSH_9.9\r\n\r\n", 400, "invalid_http", id="A11-ssh"),
]


@pytest.mark.parametrize(("data", "status", "code"), REFUSED)
def test_refused_and_closed(stub: StubServer, data: bytes, status: int, code: str) -> None:
    before = stub.stats()["refusals"].get(code, 0)
    with connect(stub.port) as sock:
        sock.sendall(data)
        answer = read_answer(sock)
        assert (answer.status, answer.code) == (status, code)
        assert answer.headers["connection"] == "close"
        assert is_closed(sock, within=2)
    assert stub.stats()["refusals"][code] == before + 1


@pytest.mark.parametrize("data", [param.values[0] for param in REFUSED], ids=[param.id for param in REFUSED])
def test_pipelined_behind_a_good_request(stub: StubServer, data: bytes) -> None:
    """The head is judged wherever it comes from; the good answer before it is not lost."""
    with connect(stub.port) as sock:
        sock.sendall(get() + data)
        assert read_answer(sock).status == 200
        assert is_closed(sock, within=2)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(get(), id="plain"),
        pytest.param(get("Connection: close\r\n"), id="close"),
        pytest.param(get(version="1.0", host=""), id="http-1.0"),
        pytest.param(get("X: " + "a" * 60_000 + "\r\n"), id="60-kB-header"),
        pytest.param(get("X: y\r\n" * 90), id="90-headers"),
        pytest.param(get("X: \xe9\r\n"), id="latin-1-header"),
        pytest.param(get("Connection: Upgrade\r\nUpgrade: websocket\r\n"), id="A11-websocket"),
        pytest.param(
            get("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n"), id="A11-h2c"
        ),
        pytest.param(get(target="http://localhost/ping"), id="A11-absolute-target"),
        pytest.param(
            get(target="http://127.0.0.1:1/ping?x=1", host="Host: evil.example\r\n"), id="A11-authority"
        ),
        pytest.param(b"\r\n" + get(), id="A9-empty-line"),
        pytest.param(b"\r\n" * 4 + get(), id="A9-empty-lines"),
    ],
)
def test_accepted(stub: StubServer, data: bytes) -> None:
    assert talk(stub.port, data).status == 200


JAVA = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABk\r\n"


def test_the_authority_of_an_absolute_target_counts_and_not_the_host(stub: StubServer) -> None:
    answer = talk(stub.port, get(target="http://evil.example/ping"))
    assert (answer.status, answer.code) == (421, "misdirected_request")


def test_java_s_default_client_is_answered_over_http_1(stub: StubServer) -> None:
    """It asks for HTTP/2 with every request, expects HTTP/1.1 where there is none, and keeps the
    connection.
    """
    body = b'{"a": "' + b"x" * 200_000 + b'"}'
    request = post("/json", body, extra=JAVA)
    with connect(stub.port) as sock:
        for _ in range(3):
            sock.sendall(request)
            answer = read_answer(sock)
            assert (answer.status, answer.json["keys"]) == (200, ["a"])
            assert "upgrade" not in answer.headers


def test_a_client_that_wished_to_switch_is_seen_to_go(stub: StubServer) -> None:
    before = stub.stats()["cancelled"]
    with connect(stub.port) as sock:
        sock.sendall(get(JAVA, target="/slow"))
        stub.wait_for(in_flight=2)
    stub.wait_for(in_flight=1, cancelled=before + 1)


@pytest.mark.parametrize("after", [b"\r\n", b"\r\n\r\n"])
def test_a_line_end_after_a_body_is_skipped(stub: StubServer, after: bytes) -> None:
    with connect(stub.port) as sock:
        for _ in range(3):
            sock.sendall(post("/json", b"{}") + after)
            assert read_answer(sock).status == 200
        for byte in after + get():
            sock.send(bytes([byte]))
        assert read_answer(sock).status == 200


def test_head_in_single_bytes(stub: StubServer) -> None:
    with connect(stub.port) as sock:
        for byte in get():
            sock.send(bytes([byte]))
        assert read_answer(sock).status == 200


def test_chunked_body(stub: StubServer) -> None:
    assert talk(stub.port, chunked('2;ext="x"\r\n{}\r\n0\r\nTrailer: x\r\n\r\n')).status == 200

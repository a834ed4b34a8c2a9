"""Bodies, their types and their sizes, at the socket: A4, A5, A10, A16 and B1 to B11 of tests/threats.md."""

from __future__ import annotations

import contextlib
import gzip
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.hailo_common.web.client import (
    Answer,
    StubServer,
    connect,
    is_closed,
    post,
    read_answer,
    stub_server,
    talk,
)

MIB = 2**20
HEAD = b"POST /json HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
IMAGE = b'{"image":"data:image/jpeg;base64,' + b"QUJD" * (13 * MIB // 4) + b'"}'


def form(*parts: tuple[str, bytes], end: bytes = b"--B--\r\n", extra_head: str = "") -> bytes:
    """A multipart body; each part is what follows `form-data; ` and its contents."""
    body = b""
    for disposition, content in parts:
        head = f"Content-Disposition: form-data; {disposition}\r\n{extra_head}\r\n"
        body += b"--B\r\n" + head.encode() + content + b"\r\n"
    return body + end


FILE = 'name="file"; filename="a.jpg"'
FORM_TYPE = "multipart/form-data; boundary=B"


def post_form(port: int, body: bytes, kind: str = FORM_TYPE) -> Answer:
    return talk(port, post("/form", body, kind))


OTHER_TYPES = [
    pytest.param("application/json; charset=utf-16", 415, id="B6-utf-16"),
    pytest.param("multipart/form-data; boundary=B", 415, id="A10-multipart-to-json"),
    pytest.param("application/jsonx", 415, id="other"),
    pytest.param("text/html", 415, id="html"),
    pytest.param("image/jpeg", 415, id="image"),
]
PLAIN_TYPES = ["text/plain", "text/plain; x=application/json", "application/x-www-form-urlencoded", "", "*/*"]


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        pytest.param("application/json", 200, id="json"),
        pytest.param("application/json; charset=utf-8", 200, id="utf-8"),
        pytest.param('Application/JSON;charset="UTF-8"', 200, id="any-case"),
        pytest.param("application/json; charset=ISO-8859-1", 200, id="latin-1-of-ascii"),
        pytest.param("application/vnd.api+json", 200, id="suffix"),
        pytest.param("text/json", 200, id="text-json"),
        *OTHER_TYPES,
    ],
)
def test_content_types(stub: StubServer, kind: str, status: int) -> None:
    answer = talk(stub.port, post("/json", b"{}", kind))
    assert answer.status == status
    assert status == 200 or answer.code == "unsupported_media_type"


@pytest.mark.parametrize("kind", PLAIN_TYPES)
@pytest.mark.parametrize(
    "sign", ["Origin: http://localhost", "Referer: http://localhost/", "Sec-Fetch-Site: same-origin"]
)
def test_a10_types_that_a_page_sends_unasked_are_json_from_programs_only(
    stub: StubServer, kind: str, sign: str
) -> None:
    assert talk(stub.port, post("/json", b"{}", kind)).status == 200
    answer = talk(stub.port, post("/json", b"{}", kind, f"{sign}\r\n"))
    assert (answer.status, answer.code) == (415, "unsupported_media_type")


def test_latin_1_that_is_no_ascii_is_refused(stub: StubServer) -> None:
    answer = talk(stub.port, post("/json", b'{"a":"\xc3\xa9"}', "application/json; charset=latin1"))
    assert (answer.status, answer.code) == (415, "unsupported_media_type")


def test_no_content_type_or_two(stub: StubServer) -> None:
    none = post("/json", b"{}").replace(b"Content-Type: application/json\r\n", b"")
    two = post("/json", b"{}", extra="Content-Type: application/json\r\n")
    assert [talk(stub.port, data).status for data in (none, two)] == [200, 415]


def packed(encoding: str, body: bytes) -> bytes:
    """A POST with its body compressed."""
    if encoding == "raw":
        packer = zlib.compressobj(wbits=-15)
        data = packer.compress(body) + packer.flush()
    else:
        data = zlib.compress(body) if encoding == "deflate" else gzip.compress(body)
    name = "deflate" if encoding == "raw" else encoding
    return post("/json", data, extra=f"Content-Encoding: {name}\r\n")


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "deflate", "raw"])
def test_a_compressed_body_is_what_it_unpacks_to(stub: StubServer, encoding: str) -> None:
    assert talk(stub.port, packed(encoding, b'{"a": 1}')).json["keys"] == ["a"]
    assert talk(stub.port, packed(encoding, IMAGE)).json["image_bytes"] > 9_000_000
    assert talk(stub.port, packed(encoding, b"x")).code == "invalid_json"


def test_a_compressed_body_keeps_to_the_limits_after_it_is_unpacked(stub: StubServer) -> None:
    before, bomb = stub.memory_mib(peak=False), packed("gzip", b" " * 300_000_000)
    assert len(bomb) < 400_000
    stub.stats()
    answer = talk(stub.port, bomb)
    assert (answer.status, answer.code) == (413, "body_too_large")
    assert "14,680,064 bytes" in answer.json["error"]["message"]
    assert stub.stats()["stall_ms"] < 250
    assert stub.memory_mib(peak=False) < before + 20


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (lambda body: body[:-9], "invalid_encoding"),
        (lambda body: body + b"more", "invalid_encoding"),
        (lambda body: body + body, "invalid_encoding"),
        (lambda body: b"no gzip at all", "invalid_encoding"),
        (lambda body: b"", "invalid_encoding"),
    ],
    ids=["cut", "followed", "twice", "none", "empty"],
)
def test_a_compressed_body_that_is_none(stub: StubServer, data: Callable[[bytes], bytes], code: str) -> None:
    body = data(gzip.compress(b'{"a": 1}'))
    answer = talk(stub.port, post("/json", body, extra="Content-Encoding: gzip\r\n"))
    assert (answer.status, answer.code) == (400, code)
    answer = talk(stub.port, post("/json", body, extra="Content-Encoding: br\r\n"))
    assert answer.status == 415


def test_a4_refused_before_the_body_comes(stub: StubServer) -> None:
    with connect(stub.port) as sock:
        begun = time.monotonic()
        sock.sendall(HEAD + b"Content-Length: 300000000\r\n\r\n")
        answer = read_answer(sock)
        assert time.monotonic() - begun < 1
        assert (answer.status, answer.code) == (413, "body_too_large")
        assert is_closed(sock, within=2)


def test_a4_no_continue_for_a_body_that_is_refused(stub: StubServer) -> None:
    answer = talk(stub.port, HEAD + b"Expect: 100-continue\r\nContent-Length: 300000000\r\n\r\n")
    assert answer.status == 413


def test_a4_continue_for_one_that_is_not(stub: StubServer) -> None:
    with connect(stub.port) as sock:
        sock.sendall(HEAD + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert sock.recv(1000).startswith(b"HTTP/1.1 100")
        sock.sendall(b"{}")
        assert read_answer(sock).status == 200


@pytest.mark.parametrize("size", [900_000, 300_000_000], ids=["A4-drained", "A4-lingered"])
def test_a4_a_client_that_sends_all_first_sees_the_answer(stub: StubServer, size: int) -> None:
    """As http.client does it: send everything, look at the answer only then or when sending fails."""
    with connect(stub.port) as sock:
        with contextlib.suppress(ConnectionError):
            sock.sendall(post("/form", b"", "text/plain").replace(b"Length: 0", b"Length: %d" % size))
            block = bytes(65536)
            for _ in range(size // len(block)):
                sock.sendall(block)
            sock.sendall(bytes(size % len(block)))
        assert read_answer(sock).status == 415


def test_a5_endless_chunks(stub: StubServer) -> None:
    def blocks() -> Iterator[bytes]:
        for _ in range(1000):
            yield b"100000\r\n" + bytes(0x100000) + b"\r\n"

    with connect(stub.port) as sock:
        sock.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        sent = 0
        with contextlib.suppress(ConnectionError):
            for block in blocks():
                sock.sendall(block)
                sent += len(block)
        answer = read_answer(sock)
        assert (answer.status, answer.code) == (413, "body_too_large")
        assert sent < 40 * MIB
        assert is_closed(sock, within=2)


BAD_JSON = [
    pytest.param(b'{"a": NaN}', 400, "invalid_json", id="B1-nan"),
    pytest.param(b'{"a": 1e400}', 400, "invalid_json", id="B1-1e400"),
    pytest.param(b'{"a": "\\ud800"}', 400, "invalid_text", id="B2-surrogate"),
    pytest.param(b'{"a": "\\u0000"}', 400, "invalid_text", id="B2-nul"),
    pytest.param(
        b'{"a": "' + "\u0301".encode() * 5_000_000 + b'"}', 400, "json_too_large", id="B2-10-MB-of-marks"
    ),
    pytest.param(b"[" * 100_000, 400, "json_too_large", id="B3-depth-100k"),
    pytest.param(b'{"a":' * 900 + b"1" + b"}" * 900, 400, "json_too_deep", id="B3-depth-900"),
    pytest.param(b"{}" * (13 * MIB // 2), 400, "json_too_large", id="B4-13-MB-of-objects"),
    pytest.param('{"a":1}'.encode("utf-16"), 400, "invalid_json", id="B6-utf-16"),
]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        *BAD_JSON,
        pytest.param(b'{"a": "\\u202e"}', 200, None, id="B2-direction-mark"),
        pytest.param(b"{}" * (9 * MIB), 413, "body_too_large", id="B4-18-MB-of-objects"),
        pytest.param(b'{"a":1,"a":2}', 200, None, id="B6-duplicate-key"),
        pytest.param(b'{"a":' + b"9" * 5000 + b"}", 200, None, id="B5-5000-digits"),
        pytest.param(b'\xef\xbb\xbf{"a":1}', 200, None, id="B6-bom"),
        pytest.param(b'{"image":"data:image/png;base64,QU JD"}', 200, None, id="B10-space"),
        pytest.param(b'{"image":"data:image/png;base64,QU-_"}', 200, None, id="B10-url-safe"),
        pytest.param(b'{"image":"data:image/png;base64,QU*D"}', 400, "invalid_base64", id="B10-star"),
        pytest.param(IMAGE, 200, None, id="B10-13-MB"),
        pytest.param(IMAGE[:-6] + b'\\nQQ"}', 200, None, id="B10-13-MB-wrapped"),
        pytest.param(IMAGE.replace(b"QUJD", b"QUJ\\u002B", 100_000), 200, None, id="B10-13-MB-escaped"),
        pytest.param(
            b'{"image":"data:image/png;base64,' + b"QUJD" * 3_600_000 + b'"}',
            413,
            "image_too_large",
            id="B10-picture-over-the-limit",
        ),
        pytest.param(b'{"image":"data:image/png;base64,QUJD,QUJD"}', 400, "invalid_base64", id="B11-commas"),
    ],
)
def test_json_bodies(stub: StubServer, body: bytes, status: int, code: str | None) -> None:
    answer = talk(stub.port, post("/json", body))
    assert (answer.status, answer.code) == (status, code)


@pytest.mark.parametrize(
    "body", [b'{"temperature": "NaN\\ud83d"}', b'{"max_tokens": "secret"}', b'{"max_tokens": 1e300}']
)
def test_validation_errors_do_not_echo(stub: StubServer, body: bytes) -> None:
    answer = talk(stub.port, post("/numbers", body))
    assert answer.status in (400, 422)
    assert b"secret" not in answer.body
    assert b"pydantic" not in answer.body


def test_nothing_of_a_crash_is_told() -> None:
    with stub_server() as server:
        answer = talk(server.port, b"GET /crash HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: my-1\r\n\r\n")
        assert (answer.status, answer.code) == (500, "internal_error")
        assert b"secret" not in answer.body
        assert '"request_id": "my-1"' in server.log()
        assert server.log().count("Traceback") == 1


FORMS = [
    pytest.param(form((FILE, b"x" * 9_000_000)), FORM_TYPE, 200, None, id="B7-9-MB-file"),
    pytest.param(form((FILE, b"x"), ('name="prompt"', b"hi")), FORM_TYPE, 200, None, id="B7-file-and-field"),
    pytest.param(form((FILE, b"\r\n--C\r--B" * 1000)), FORM_TYPE, 200, None, id="B7-lookalikes"),
    pytest.param(
        form(*((f'name="f{i}"; filename="a"', b"x") for i in range(1001))),
        FORM_TYPE,
        400,
        "form_too_many_parts",
        id="B7-1001-files",
    ),
    pytest.param(
        form(*((f'name="f{i}"', b"x") for i in range(9))),
        FORM_TYPE,
        400,
        "form_too_many_parts",
        id="B7-9-fields",
    ),
    pytest.param(form(('name="file"', b"x" * 100_000)), FORM_TYPE, 200, None, id="B7-no-filename"),
    pytest.param(form(('name="image[]"; filename="a"', b"x")), FORM_TYPE, 200, None, id="B7-brackets"),
    pytest.param(form(('name="a"', b""), ('name="a"', b"x")), FORM_TYPE, 200, None, id="B7-empty-field"),
    pytest.param(form((FILE, b""), (FILE, b"x"), (FILE, b"")), FORM_TYPE, 200, None, id="B7-not-chosen"),
    pytest.param(form((FILE, b"x"), (FILE, b"y")), FORM_TYPE, 400, "form_too_many_parts", id="B11-two-files"),
    pytest.param(form(('name="a"', b"x"), ('name="a"', b"y")), FORM_TYPE, 400, "invalid_form", id="B7-twice"),
    pytest.param(
        form(('name="prompt"', b"x" * 2_000_000)), FORM_TYPE, 413, "form_part_too_large", id="B7-2-MB-field"
    ),
    pytest.param(
        form(('name="a"', b"x" * 100_000)), FORM_TYPE, 413, "form_part_too_large", id="B7-100-kB-field"
    ),
    pytest.param(
        form((FILE, b"x"), extra_head="X: " + "y" * 1_000_000 + "\r\n"),
        FORM_TYPE,
        400,
        "invalid_form",
        id="B7-1-MB-part-head",
    ),
    pytest.param(form((FILE, b"x" * 11 * MIB)), FORM_TYPE, 413, "body_too_large", id="B7-11-MB"),
    pytest.param(form((FILE, b"x"), end=b""), FORM_TYPE, 400, "invalid_form", id="B7-truncated"),
    pytest.param(form((FILE, b"x"))[:20], FORM_TYPE, 400, "invalid_form", id="B7-truncated-in-head"),
    pytest.param(b"", FORM_TYPE, 400, "invalid_form", id="B7-empty"),
    pytest.param(b"junk", FORM_TYPE, 400, "invalid_form", id="B7-junk"),
    pytest.param(form((FILE, b"x")), "multipart/form-data", 400, "invalid_form", id="B7-no-boundary"),
    pytest.param(
        form((FILE, b"x")), "multipart/form-data; boundary=", 400, "invalid_form", id="B7-empty-boundary"
    ),
    pytest.param(
        form((FILE, b"x")),
        "multipart/form-data; boundary=" + "B" * 300,
        400,
        "invalid_form",
        id="B7-long-boundary",
    ),
    pytest.param(form((FILE, b"x")), FORM_TYPE + "C", 400, "invalid_form", id="B7-other-boundary"),
    pytest.param(
        form((FILE, b"x")),
        FORM_TYPE + "; charset=punycode",
        415,
        "unsupported_media_type",
        id="B7-bogus-charset",
    ),
    pytest.param(form(('name="a"', b"\xff")), FORM_TYPE, 400, "invalid_text", id="B7-latin-1-field"),
    pytest.param(form(('name="a"', b"\0")), FORM_TYPE, 400, "invalid_text", id="B2-nul-field"),
    pytest.param(form(("x=y", b"x")), FORM_TYPE, 400, "invalid_form", id="B7-no-name"),
    pytest.param(form(('name="\xe9"', b"x")), FORM_TYPE, 400, "invalid_form", id="B7-odd-name"),
    pytest.param(
        form((FILE, b"x")).replace(b"form-data;", b"attachment;"),
        FORM_TYPE,
        400,
        "invalid_form",
        id="B7-attachment",
    ),
    pytest.param(
        b"a=1&b=2", "application/x-www-form-urlencoded", 415, "unsupported_media_type", id="B8-urlencoded"
    ),
    pytest.param(form(('name="a"', b"\r" * 60_000)), FORM_TYPE, 200, None, id="B7-carriage-returns"),
    pytest.param(form((FILE, b"\r\n--" * 2 * MIB)), FORM_TYPE, 200, None, id="B7-8-MB-of-line-ends"),
]


@pytest.mark.parametrize(("body", "kind", "status", "code"), FORMS)
def test_forms(stub: StubServer, body: bytes, kind: str, status: int, code: str | None) -> None:
    stub.stats()
    answer = post_form(stub.port, body, kind)
    assert (answer.status, answer.code) == (status, code)
    assert stub.stats()["stall_ms"] < 250


def test_a_form_comes_through(stub: StubServer) -> None:
    answer = post_form(stub.port, form((FILE, b"abc"), ('name="prompt"', "é".encode())))
    assert answer.json == {"fields": {"prompt": 1}, "files": {"file": 3}}


def test_a_part_is_a_file_by_its_name_or_type_and_an_empty_one_is_none(stub: StubServer) -> None:
    data = b"\xff\xd8\xff\0"
    typed = form(('name="shot"', data), extra_head="Content-Type: image/jpeg\r\n")
    assert post_form(stub.port, typed).json["files"] == {"shot": 4}
    named = form(('name="images[0]"', data), ('name="prompt"', b""), ('name="n"', b"1"))
    assert post_form(stub.port, named).json == {"fields": {"n": 1}, "files": {"images": 4}}


def test_b9_nothing_is_left_of_aborted_uploads(stub: StubServer) -> None:
    data = post("/form", form((FILE, b"x" * 3 * MIB)), FORM_TYPE)
    for _ in range(30):
        with connect(stub.port) as sock:
            sock.sendall(data[: 2 * MIB])
    stub.wait_for(in_flight=1, budget_used=0)
    opened = [str(link.resolve()) for link in Path(f"/proc/{stub.process.pid}/fd").iterdir() if link.exists()]
    assert not [path for path in opened if path.startswith(("/tmp/tmp", "/var/tmp")) and "log" not in path]


def many(port: int, count: int, data: bytes) -> Counter[int]:
    statuses: Counter[int] = Counter()

    def one() -> None:
        statuses[talk(port, data, timeout=30).status] += 1

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statuses


def test_large_bodies_share_the_budget() -> None:
    with stub_server(peer_connections=0, body_deadline_s=60) as server:
        assert many(server.port, 6, post("/json", IMAGE)) == {200: 6}
        server.check()
        server.wait_for(budget_used=0)


def test_without_a_share_in_time_503() -> None:
    settings = {"body_budget": 1000, "body_deadline_s": 0.5, "body_bytes_per_s": 1, "linger_s": 0.2}
    with stub_server(**settings) as server, connect(server.port) as first:
        # A hundred bytes buy a hundred seconds here.
        first.sendall(HEAD + b"Content-Length: 1000\r\n\r\n" + b" " * 999)
        server.wait_for(in_flight=2, budget_used=999)
        answer = talk(server.port, post("/json", b"{}"))
        assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "busy", "5")
        first.close()
        server.wait_for(budget_used=0)


def test_uploads_that_stall_hold_what_they_sent_and_nobody_up() -> None:
    with stub_server(peer_connections=0) as server, contextlib.ExitStack() as stack:
        for _ in range(9):
            sock = stack.enter_context(connect(server.port))
            sock.sendall(HEAD + b"Content-Length: 14000000\r\n\r\n" + b" " * 1000)
        server.wait_for(in_flight=10, budget_used=9000)
        began = time.monotonic()
        assert many(server.port, 6, post("/json", IMAGE)) == {200: 6}
        assert time.monotonic() - began < 10


def test_a16_flood() -> None:
    with stub_server(peer_connections=0, connections=0) as server:
        before = server.memory_mib(peak=False)
        statuses = many(server.port, 200, post("/queue?seconds=0.1", b"{" + b" " * 200_000 + b"}"))
        stats = server.wait_for(queued=0, in_flight=1)
        assert set(statuses) == {200, 503}
        assert statuses[200] == stats["served"]
        assert server.memory_mib() < before + 80
        server.check()


def test_busy_says_when_to_come_back_at_once(stub: StubServer) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(connect(stub.port)).sendall(post("/queue?seconds=30", b"{}"))
        stub.wait_for(queued=8)
        seconds = []
        for _ in range(5):
            begun = time.monotonic()
            # The body is never sent: a full queue is no reason to read one.
            answer = talk(stub.port, post("/queue", b"").replace(b"Length: 0", b"Length: 1000"))
            seconds.append(time.monotonic() - begun)
            assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "queue_full", "2")
        assert min(seconds) < 0.3

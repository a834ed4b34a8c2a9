"""Tables A, B and C of tests/threats.md against hailo-vision's routes: what was sent, the status, the code.

Threats that are about time (A1, A2, A7, A8) are in `tests/hailo_common/web`, with the same server and short
deadlines; A15 and A16 are in `test_streams`, A17 in `test_chat`.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.hailo_common.images.hostile import FILES
from tests.hailo_common.web import client as raw
from tests.hailo_common.web.test_app import TRAVERSALS
from tests.hailo_common.web.test_bodies import BAD_JSON, FORMS, HEAD, OTHER_TYPES
from tests.hailo_common.web.test_parser import REFUSED
from tests.hailo_florence.api.conftest import data_uri
from tests.hailo_florence.api.running import Running
from tests.hailo_vision.api.conftest import CHAT, MODEL, URI, body, order, post

ANALYZE = "/v1/vision/analyze"
OTHER = "unsupported_media_type"
RESPONSES = "/v1/responses"
MESSAGES = "/v1/messages"
PATHS = (CHAT, ANALYZE, "/v1/completions", RESPONSES, MESSAGES, "/api/chat")
MIB = 2**20
# Where other limits, or base64 around the file, lead to another code.
CODES = {"C4 png 20M x 1": "too_many_pixels", "C17 2x8192": "image_aspect_ratio"}
STATUSES = {"image_too_large": 413, "image_decode_failed": 422}


@pytest.fixture(autouse=True)
def unharmed(vision: Running) -> Iterator[None]:
    """Whatever a test does, the service answers as before and its log has no traceback."""
    pid, logged = vision.pid(), len(vision.log)
    yield
    assert post(vision, order(count=1)).status_code == 200
    assert vision.pid() == pid
    assert "Traceback" not in vision.log[logged:]
    assert vision.health()["memory_mb"]["http"] < 120


def code_of(value: dict[str, Any], expected: str | None) -> str | None:
    """The code of an error; the expected one where a dialect has none, and its error is of its own form."""
    error = value.get("error")
    if isinstance(error, dict) and "code" in error:
        return str(error["code"])
    anthropics = isinstance(error, dict) and {"type", "message"} == set(error) and value["type"] == "error"
    assert isinstance(error, str) or anthropics, value
    return expected


def at(path: str, data: bytes) -> bytes:
    """A request that was written for another service's routes."""
    return data.replace(b"/json", path.encode(), 1).replace(b"/ping", b"/v1/models", 1)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("data", "status", "code"), REFUSED)
def test_a_heads(vision: Running, path: str, data: bytes, status: int, code: str) -> None:
    with raw.connect(vision.port) as sock:
        sock.sendall(at(path, data))
        answer = raw.read_answer(sock)
        assert (answer.status, code_of(answer.json, code)) == (status, code)
        assert raw.is_closed(sock, within=2)


@pytest.mark.parametrize("path", PATHS)
def test_a4_refused_before_the_body_comes(vision: Running, path: str) -> None:
    with raw.connect(vision.port) as sock:
        sock.sendall(at(path, HEAD) + b"Content-Length: 300000000\r\n\r\n")
        answer = raw.read_answer(sock)
        assert (answer.status, code_of(answer.json, "body_too_large")) == (413, "body_too_large")


@pytest.mark.parametrize("path", PATHS)
def test_a5_endless_chunks(vision: Running, path: str) -> None:
    with raw.connect(vision.port) as sock:
        sock.sendall(at(path, HEAD) + b"Transfer-Encoding: chunked\r\n\r\n")
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 200 * MIB:
                sock.sendall(b"100000\r\n" + b" " * MIB + b"\r\n")
                sent += MIB
        answer = raw.read_answer(sock)
        assert (answer.status, code_of(answer.json, "body_too_large")) == (413, "body_too_large")
        assert sent < 80 * MIB


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"Host": "evil.example"}, 421, "misdirected_request"),
        ({"Host": "127.0.0.1.nip.io"}, 421, "misdirected_request"),
        ({"Origin": "http://evil.example"}, 403, "cross_origin_refused"),
        ({"Origin": "null"}, 403, "cross_origin_refused"),
        ({"Sec-Fetch-Site": "cross-site"}, 403, "cross_origin_refused"),
    ],
    ids=str,
)
def test_a10_other_hosts_and_pages(
    vision: Running, path: str, fields: dict[str, str], status: int, code: str
) -> None:
    reply = vision.client.post(path, json=body(), headers=fields)
    assert (reply.status_code, code_of(reply.json(), code)) == (status, code)


@pytest.mark.parametrize("below", ["", "/v1/models"])
def test_a12_path_tricks(vision: Running, below: str) -> None:
    request = "GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n"
    statuses = {
        path: raw.talk(vision.port, request.format(below + path).encode()).status for path in TRAVERSALS
    }
    assert {path: status for path, status in statuses.items() if status != 404} == {}


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/redoc"])
def test_a13_no_api_page_unless_asked_for(vision: Running, path: str) -> None:
    assert vision.client.get(path).status_code == 404


def test_a14_nothing_of_the_client_reaches_the_log(vision: Running) -> None:
    evil = "\n<0>PWNED\x1b[2J\u202e"
    post(vision, {"role": "user", "content": evil})
    post(vision, {"role": evil, "content": "Hi"})
    post(vision, model=evil)
    post(vision, **{evil: evil}, user=evil, metadata={evil: evil}, stop=evil, response_format={"type": evil})
    vision.client.post(ANALYZE, json={"images": [URI, evil], "prompt": evil})
    vision.client.get("/v1/models/%0a%3C0%3EPWNED")
    vision.client.post(CHAT, json=body(), headers={"User-Agent": "<0>PWNED", "X-Request-ID": "<0>PWNED"})
    # Only an address where there is nothing is shown, without what could forge a line.
    shown = [line for line in vision.log.splitlines() if "PWNED" in line]
    assert {json.loads(line)["path"] for line in shown} == {"/v1/models/?0?PWNED"}


@pytest.mark.parametrize("path", PATHS)
def test_a15_hanging_up_in_the_middle_of_a_body(vision: Running, path: str) -> None:
    def gone() -> int:
        counted = rf'handler="{path}",method="POST",status="499"}} (\d+)'
        return sum(map(int, re.findall(counted, vision.client.get("/metrics").text)))

    before, data = gone(), raw.post(path, b'{"images": ["' + b"A" * MIB)
    for _ in range(20):
        with raw.connect(vision.port) as sock:
            sock.sendall(data[: len(data) // 2])
    vision.until(lambda: gone() == before + 20)
    assert vision.health()["queue"]["waiting"] == 0


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("content", "status", "code"), BAD_JSON)
def test_b_json(vision: Running, path: str, content: bytes, status: int, code: str) -> None:
    reply = vision.client.post(path, content=content, headers={"Content-Type": "application/json"})
    assert (reply.status_code, code_of(reply.json(), code)) == (status, code)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("kind", "status"), OTHER_TYPES)
def test_a10_b7_b8_other_types(vision: Running, path: str, kind: str, status: int) -> None:
    if path == ANALYZE and kind.startswith(("multipart/", "image/")):
        pytest.skip("this route takes forms and files")
    reply = vision.client.post(path, content=b"{}", headers={"Content-Type": kind})
    assert (reply.status_code, code_of(reply.json(), OTHER)) == (status, OTHER)


@pytest.mark.parametrize(("content", "kind", "status", "code"), FORMS)
def test_b7_forms(vision: Running, content: bytes, kind: str, status: int, code: str | None) -> None:
    reply = vision.client.post(ANALYZE, content=content, headers={"Content-Type": kind})
    assert 400 <= reply.status_code < 500
    if code not in (None, "form_too_many_parts", "body_too_large", "unsupported_media_type"):
        assert (reply.status_code, code_of(reply.json(), code)) == (status, code)


@pytest.mark.parametrize(
    "url",
    [
        "data:image/png;base64,QU*JD",
        "data:image/png;base64,QUJDQ",
        "data:image/png;base64,QU==QUJD",
        "data:image/png;base64",
        "data:image/png;base64,QUJD,QUJD",
    ],
    ids=["B10-star", "B10-cut", "B10-padding", "B10-no-comma", "B11-commas"],
)
def test_b10_b11_base64(vision: Running, url: str) -> None:
    assert refusal_of(vision, url) == [(400, "invalid_base64")] * 3


@pytest.mark.parametrize(
    "name", sorted(FILES.keys() - {"over the byte limit"})
)  # another one here: `test_pictures`
def test_c_images(vision: Running, name: str) -> None:
    make, code = FILES[name]
    code = CODES.get(name, code)
    status = 200 if code is None else STATUSES.get(code, 400)
    assert refusal_of(vision, data_uri(make())) == [(status, code)] * 3


def refusal_of(running: Running, url: str) -> list[tuple[int, str | None]]:
    """Status and code of a picture in the routes that have codes; another dialect's status is the same."""
    part = {"type": "image_url", "image_url": {"url": url}}
    values = {
        CHAT: {"model": MODEL, "messages": [{"role": "user", "content": [part]}]},
        ANALYZE: {"images": [url], "prompt": "Hi"},
        RESPONSES: {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": url}]}]},
    }
    found = []
    for path, value in values.items():
        reply = running.client.post(path, json=value)
        found.append((reply.status_code, (reply.json().get("error") or {}).get("code")))
    block = {"type": "image", "source": {"type": "base64", "data": url}}
    other = running.client.post(MESSAGES, json={"messages": [{"role": "user", "content": [block]}]})
    assert other.status_code == found[0][0]
    return found

"""Who may use a service: API keys and pages of other origins, in both services."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hailo_florence.api.running import FAKE, FAKE_VISION, Running, started
from tests.hailo_vision.api.conftest import CHAT, body, order, post
from tests.hailo_vision.api.shapes import check_error

KEYS = ("first-secret-key", "second-secret-key", "filed-secret-key")
PAGE = "https://chat.example"
SERVICES = {"vision": (FAKE_VISION, CHAT), "florence": (FAKE, "/v1/caption")}


@pytest.fixture(scope="module", params=SERVICES)
def closed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service with three keys and one page."""
    file = tmp_path_factory.mktemp("keys") / "keys"
    file.write_text(f"# ours\n\n{KEYS[2]}\n")
    settings = {"api_keys": KEYS[:2], "api_key_file": str(file), "cors_origins": [PAGE]}
    module, path = SERVICES[request.param]
    with started(module, "--settings", json.dumps(settings)) as running:
        running.post_path = path  # type: ignore[attr-defined]
        yield running
        for key in KEYS:
            assert key not in running.log
        assert "everybody on this machine may read the key file" in running.log


def path_of(running: Running) -> str:
    """The service's inference route."""
    return str(running.post_path)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer"},
        {"Authorization": f"Basic {KEYS[0]}"},
        {"Authorization": KEYS[0]},
        {"Authorization": f"Bearer {KEYS[0]}x"},
        {"X-Api-Key": "wrong"},
        {"X-Api-Key": ""},
    ],
    ids=str,
)
def test_without_a_key_nothing_is_read(closed: Running, headers: dict[str, str]) -> None:
    reply = closed.client.post(path_of(closed), json={"x": "y" * 100_000}, headers=headers)
    assert reply.status_code == 401
    assert reply.headers["www-authenticate"] == "Bearer"
    value = reply.json()
    if path_of(closed) == CHAT:
        check_error(value)
        assert value["error"]["type"] == "invalid_request_error"
        assert value["error"]["code"] == "invalid_api_key"
    else:
        assert (value["error"], value["status"]) == ("invalid_api_key", 401)
    for path in ("/metrics", "/v1/models", "/", "/nothing", "//health", "/health/../metrics"):
        assert closed.client.get(path, headers=headers).status_code == 401, path


@pytest.mark.parametrize("key", KEYS)
def test_each_key_opens_in_each_form(closed: Running, key: str) -> None:
    for headers in (
        {"Authorization": f"Bearer {key}"},
        {"Authorization": f"bearer  {key}"},
        {"X-Api-Key": key},
    ):
        assert closed.client.get("/metrics", headers=headers).status_code == 200
        assert closed.client.post(path_of(closed), json={}, headers=headers).status_code in (400, 422)


@pytest.mark.parametrize("path", ["/health", "/health/ready", "/readyz"])
def test_probes_need_no_key_and_tell_none(closed: Running, path: str) -> None:
    reply = closed.client.get(path)
    assert reply.status_code == 200
    assert not any(key in reply.text for key in KEYS)


def test_a_configured_page_may_use_it(closed: Running) -> None:
    preflight = closed.client.options(
        path_of(closed),
        headers={
            "Origin": PAGE,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type,x-stainless-os,x-stainless-lang",
        },
    )
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == PAGE
    assert "POST" in preflight.headers["access-control-allow-methods"]
    allowed = preflight.headers["access-control-allow-headers"].lower()
    assert {"authorization", "content-type", "x-stainless-os"} <= {
        name.strip() for name in allowed.split(",")
    }
    refused = closed.client.post(path_of(closed), json={}, headers={"Origin": PAGE})
    # The page must be able to read why it was refused.
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, PAGE)
    headers = {"Origin": PAGE, "Authorization": f"Bearer {KEYS[0]}"}
    assert closed.client.post(path_of(closed), json={}, headers=headers).status_code in (400, 422)


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "https://chat.example.evil", "null", "https://chat"]
)
def test_other_pages_may_not(closed: Running, origin: str) -> None:
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    assert (
        "access-control-allow-origin" not in closed.client.options(path_of(closed), headers=headers).headers
    )
    headers = {"Origin": origin, "Authorization": f"Bearer {KEYS[0]}"}
    reply = closed.client.post(path_of(closed), json={}, headers=headers)
    assert (reply.status_code, "access-control-allow-origin" in reply.headers) == (403, False)


def test_any_page_where_the_operator_says_so() -> None:
    with started(FAKE_VISION, "--settings", '{"cors_origins": ["*"]}') as running:
        headers = {"Origin": "https://anything.example"}
        reply = running.client.post(CHAT, json=body(order(count=1)), headers=headers)
        assert (reply.status_code, reply.headers["access-control-allow-origin"]) == (200, "*")
        streamed = running.client.post(CHAT, json=body(order(count=1), stream=True), headers=headers)
        assert streamed.headers["access-control-allow-origin"] == "*"
        assert post(running, order(count=1)).headers.get("access-control-allow-origin") is None


def test_no_page_by_default_and_any_key(vision: Running) -> None:
    reply = vision.client.post(CHAT, json=body(), headers={"Origin": PAGE})
    assert reply.status_code == 403
    for headers in (
        {"Authorization": "Bearer whatever"},
        {"X-Api-Key": "x"},
        {"Authorization": "Basic eA=="},
    ):
        assert vision.client.post(CHAT, json=body(), headers=headers).status_code == 200


@pytest.mark.parametrize("content", [None, "", "# nothing\n", "short\n", "with a space\n"])
def test_a_key_file_that_is_no_use_stops_the_start(tmp_path: Path, content: str | None) -> None:
    from hailo_common.errors import ConfigError  # noqa: PLC0415
    from hailo_common.service import api_keys  # noqa: PLC0415
    from hailo_vision.config import VisionSettings  # noqa: PLC0415

    file = tmp_path / "keys"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError) as caught:
        api_keys(VisionSettings(api_key_file=str(file)))
    assert "short" not in str(caught.value)

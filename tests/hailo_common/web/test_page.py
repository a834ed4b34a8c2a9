"""What the page is made of, who gets it, and what the service tells it."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import struct
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from hailo_common.web.page.assets import FOLDER, Page
from hailo_common.web.page.seen import KEEP_S, MOST_SESSIONS, SESSION, png
from hailo_common.web.state import server_state_of
from hailo_florence.config import FlorenceSettings
from hailo_florence.service import build as build_florence
from hailo_vision.config import VisionSettings
from hailo_vision.service import build as build_vision
from tests.hailo_florence.api.running import FAKE, FAKE_VISION, started

MOST_BYTES = 150_000
MOST_PICTURE_BYTES = 50_000
HTML = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
BUILDS: dict[str, Callable[..., Any]] = {
    "hailo-vision": lambda **keys: build_vision(VisionSettings(**keys), "/none").app,
    "hailo-florence": lambda **keys: build_florence(FlorenceSettings(**keys), "/none").app,
}


def asked(app: Any, ask: Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]) -> httpx.Response:
    """The answer of an app that is not started."""

    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await ask(client)

    return asyncio.run(run())


def get(app: Any, path: str, **headers: str) -> httpx.Response:
    """The answer to a GET."""
    return asked(app, lambda client: client.get(path, headers=headers))


@pytest.mark.parametrize("service", BUILDS)
def test_browsers_get_the_page_and_programs_what_they_always_got(service: str) -> None:
    app = BUILDS[service]()
    page = get(app, "/", **HTML)
    assert page.headers["content-type"].startswith("text/html")
    assert f'data-service="{service}"' in page.text
    for accept in ("*/*", "application/json", ""):
        assert get(app, "/", accept=accept).json()["service"] == service


@pytest.mark.parametrize("path", ["/", "/page/app.js"])
def test_a_strict_policy_stands_on_everything(path: str) -> None:
    answer = get(BUILDS["hailo-vision"](), path, **HTML)
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"


def test_the_page_has_no_code_in_its_markup_and_nothing_from_elsewhere() -> None:
    index = (FOLDER / "index.html").read_text()
    assert re.findall(r"<script(?![^>]* src=\"page/)", index) == []
    assert re.findall(r"<style| style=| on\w+=", index) == []
    for path in FOLDER.iterdir():
        text = path.read_text()
        known = r"https?://(?!www\.w3\.org/2000/svg)"
        assert re.findall(known, text) == [], path.name
        assert re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text) == [], (
            path.name
        )


def test_all_of_it_is_light_and_each_file_can_be_read_in_one_sitting() -> None:
    assert Page("hailo-vision").bytes <= MOST_BYTES
    for path in FOLDER.iterdir():
        assert len(path.read_text().splitlines()) <= 400, path.name


def test_its_pictures_are_served_and_light() -> None:
    pictures = Page("hailo-vision").pictures
    assert sum(len(each.content) for each in pictures.values()) <= MOST_PICTURE_BYTES
    for name, asset in pictures.items():
        answer = get(BUILDS["hailo-vision"](), f"/page/{name}")
        assert (answer.content, answer.headers["content-type"]) == (asset.content, "image/jpeg")
    examples = (FOLDER / "examples.js").read_text()
    assert set(re.findall(r"\"page/(\S+)\"", examples)) == pictures.keys()


def test_every_module_is_served_and_every_import_leads_somewhere() -> None:
    page = Page("hailo-vision")
    texts = {name: asset.content.decode() for name, asset in page.assets.items() if name.endswith(".js")}
    for name, text in texts.items():
        for other in re.findall(r"(?:from|import\() ?\"\./([\w.-]+)\"", text):
            assert other in texts, (name, other)


@pytest.mark.parametrize(
    ("service", "own", "other"), [("vision", "conversation", "tasks"), ("florence", "tasks", "conversation")]
)
def test_the_first_file_names_the_modules_of_its_service_and_no_others(
    service: str, own: str, other: str
) -> None:
    index = Page(f"hailo-{service}").index.content.decode()
    links = re.findall(r'<link rel="modulepreload" href="page/([\w.-]+)">', index)
    assert {f"{own}.js", "languages.js"} <= set(links)
    assert f"{other}.js" not in links
    assert len(links) == len(set(links))


def test_a_file_that_a_browser_has_is_not_sent_again() -> None:
    app = BUILDS["hailo-vision"]()
    first = get(app, "/page/page.css", **{"accept-encoding": "gzip"})
    assert first.headers["content-encoding"] == "gzip"
    again = get(app, "/page/page.css", **{"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    plain = get(app, "/page/page.css", **{"accept-encoding": "identity"})
    assert plain.content == (FOLDER / "page.css").read_bytes()
    assert len(gzip.compress(plain.content)) < len(plain.content) / 2


def test_one_key_switches_it_off() -> None:
    app = BUILDS["hailo-vision"](page=False)
    assert get(app, "/", **HTML).json()["service"] == "hailo-vision"
    for path in ("/page/app.js", "/v1/status", "/v1/status/models", "/v1/seen/0"):
        assert get(app, path).status_code == 404


def test_the_languages_say_the_same_things() -> None:
    table = words()
    assert len(table) > 150
    for name, texts in table.items():
        assert len(texts) == 3, name
        assert all(texts), name
        assert {frozenset(holes(text)) for text in texts} == {frozenset(holes(texts[0]))}, name


def words() -> dict[str, list[str]]:
    """The words of the page by name, in each language."""
    rows = re.findall(r'^  "([^"]+)": (\[.+\]),$', (FOLDER / "languages.js").read_text(), re.MULTILINE)
    return {name: json.loads(texts) for name, texts in rows}


def holes(text: str) -> set[str]:
    """The names that a text has filled in."""
    return set(re.findall(r"\{(\w+)\}", text))


def test_every_word_that_the_modules_use_is_there() -> None:
    table = words()
    for path in FOLDER.glob("*.js"):
        for name in re.findall(r"\b(?:t|english)\(\"([\w.-]+)\"", path.read_text()):
            assert name in table, (path.name, name)


def test_with_keys_the_page_comes_without_and_what_it_asks_for_needs_one() -> None:
    app = BUILDS["hailo-vision"](api_keys=("a-key-of-somebody",))
    assert get(app, "/", **HTML).status_code == 200
    assert get(app, "/page/app.js").status_code == 200
    for path in ("/", "/v1/status", "/v1/status/models", "/v1/seen/0"):
        assert get(app, path).status_code == 401
    assert get(app, "/v1/status", authorization="Bearer a-key-of-somebody").status_code == 200


def test_who_asks_sees_his_own_requests_and_not_a_word_of_them() -> None:
    keys = ["a-key-of-somebody", "another-ones-key"]
    with started(FAKE_VISION, "--settings", json.dumps({"api_keys": keys})) as running:
        mine, others = ({"authorization": f"Bearer {key}"} for key in keys)
        body = {"model": "fake-vl", "messages": [{"role": "user", "content": "a secret of mine"}]}
        assert running.client.post("/v1/chat/completions", json=body, headers=mine).status_code == 200
        running.client.post("/v1/chat/completions", json={"messages": 1}, headers=mine)
        status = running.client.get("/v1/status", headers=mine)
        # What the page asks for, and shows as code: the name that outlives the model.
        assert (status.json()["name"], status.json()["model"]) == ("qwen2-vl-2b-instruct", "fake-vl")
        refused, answered = status.json()["requests"]
        assert (answered["endpoint"], answered["status"], answered["tokens"]) == (
            "/v1/chat/completions",
            200,
            5,
        )
        assert (refused["status"], refused["code"], refused["tokens"]) == (400, "invalid_value", None)
        assert "secret" not in status.text
        assert running.client.get("/v1/status", headers=others).json()["requests"] == []


def test_the_last_requests_are_few() -> None:
    state = server_state_of(BUILDS["hailo-vision"]())
    assert state.recent.maxlen is not None
    assert state.recent.maxlen <= 64


def test_what_the_model_saw_is_kept_for_who_asked_for_it_alone() -> None:
    name, other = "0" * 32, "1" * 32
    image = png(bytes((200, 10, 10)) * 64, 8, 8)
    with started(FAKE) as running:
        files = {"image": ("x.png", image)}
        running.client.post("/v1/caption", files=files)
        assert running.client.get("/v1/seen/0", headers={SESSION: name}).status_code == 404
        running.client.post("/v1/caption", files=files, headers={SESSION: name})
        seen = running.client.get("/v1/seen/0", headers={SESSION: name})
        assert seen.headers["content-type"] == "image/png"
        assert pixels(seen.content) == bytes((200, 10, 10)) * 64
        for wrong in ({SESSION: other}, {}):
            assert running.client.get("/v1/seen/0", headers=wrong).status_code == 404
        assert running.client.get("/v1/seen/1", headers={SESSION: name}).status_code == 404
        for number in range(MOST_SESSIONS):
            running.client.post("/v1/caption", files=files, headers={SESSION: f"{number + 2}" * 32})
        assert running.client.get("/v1/seen/0", headers={SESSION: name}).status_code == 404
    assert KEEP_S <= 600


def pixels(file: bytes) -> bytes:
    """The RGB of a small PNG without filters."""
    width, height = struct.unpack(">II", file[16:24])
    at = file.index(b"IDAT")
    size = struct.unpack(">I", file[at - 4 : at])[0]
    lines = zlib.decompress(file[at + 4 : at + 4 + size])
    return b"".join(lines[row * (3 * width + 1) + 1 : (row + 1) * (3 * width + 1)] for row in range(height))

"""The page in Debian's Chromium, against real services. Without a browser these tests skip and say so."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from tests.hailo_florence.api.running import FAKE_VISION, FLORENCE, Running, started

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parents[2]
SHOTS = ROOT / ".cache/page-shots"
SAMPLE = ROOT / "docs/sample.jpg"
WAIT_MS = 40_000
# In a container Chromium has neither a sandbox of its own nor much shared memory.
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--use-fake-device-for-media-stream"]
FLAGS += ["--use-fake-ui-for-media-stream"]


def chromium() -> str | None:
    """The browser of this machine."""
    return os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One for the tests here; it is gone before others run, which could start no loop beside its own."""
    path = chromium()
    if path is None:
        pytest.skip("there is no Chromium on this machine (Debian: sudo apt install chromium)")
    api = pytest.importorskip("playwright.sync_api", reason="playwright is missing: make venv")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def vision(browser: Browser) -> Iterator[Running]:
    """hailo-vision on its model of shapes."""
    with started(("hailo_vision", "--demo", "shapes", "--docs")) as running:
        yield running


@pytest.fixture(scope="package")
def florence(browser: Browser) -> Iterator[Running]:
    """hailo-florence on its demo model."""
    with started((*FLORENCE, "--docs")) as running:
        yield running


@pytest.fixture(scope="package")
def finder(browser: Browser) -> Iterator[Running]:
    """hailo-florence with an engine that finds places."""
    with started(("tests.page.finder",)) as running:
        yield running


@pytest.fixture(scope="package")
def orders(browser: Browser) -> Iterator[Running]:
    """hailo-vision with an engine that does what a question orders it to."""
    with started(FAKE_VISION, "--settings", json.dumps({"queue_size": 1})) as running:
        yield running


Opened: TypeAlias = "Callable[..., Page]"


@pytest.fixture
def opened(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Opened]:
    """Opens the page of a service; fails the test for what the console or another host hears of it."""
    contexts: list[Any] = []
    heard: list[str] = []

    def open_page(running: Running, *, expect: str = "", wait: str = ".card", **options: Any) -> Page:
        base = f"http://127.0.0.1:{running.port}/"
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        contexts.append(context)
        context.set_default_timeout(WAIT_MS)
        page = context.new_page()

        def note(text: str) -> None:
            if not (expect and re.search(expect, text)):
                heard.append(text)

        page.on("console", lambda message: note(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: note(f"error: {error}"))
        page.on(
            "request",
            lambda asked: (
                None if asked.url.startswith((base, "blob:", "data:")) else note(f"elsewhere: {asked.url}")
            ),
        )
        page.goto(base)
        if wait:
            page.wait_for_selector(wait)
        return page

    yield open_page
    for context in contexts:
        for number, page in enumerate(context.pages):
            SHOTS.mkdir(parents=True, exist_ok=True)
            name = re.sub(r"[^\w-]+", "-", request.node.name)
            page.screenshot(path=SHOTS / f"{name}{number}.png")
        context.close()
    assert heard == []


def ask(page: Page, text: str) -> None:
    """Type a question and press Enter."""
    page.locator("#question").fill(text)
    page.locator("#question").press("Enter")


def choose(page: Page, *files: Path | dict[str, Any]) -> None:
    """Give files to the browser's own picker."""
    with page.expect_file_chooser() as picked:
        page.locator(".composer .ask .round").first.click()
    picked.value.set_files(list(files))  # type: ignore[arg-type]


def last_answer(page: Page, count: int = 1) -> str:
    """The text of the last of `count` finished answers."""
    page.wait_for_function(
        "count => document.querySelectorAll('.reply.done').length === count", arg=count, timeout=WAIT_MS
    )
    return page.locator(".reply .answer").last.inner_text()

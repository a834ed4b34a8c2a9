"""The page for everybody: answers that mean harm, people who see and hear differently, other languages."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.hailo_florence.api.running import Running
from tests.page.conftest import ROOT, SAMPLE, Opened, ask, choose, last_answer

if TYPE_CHECKING:
    from playwright.sync_api import Page

AXE = ROOT / ".cache/page-tools/node_modules/axe-core/axe.min.js"
HARM = {
    "html": "<img src=x onerror=alert(1)><script>alert(2)</script><style>*{display:none}</style>",
    "breaks out": "</p></li></ol></section><h1>owned</h1><!--",
    "link": "[here](javascript:alert(1)) <a href='https://evil.example/'>x</a> ![x](https://evil.example/x.png)",
    "bidi": "\u202e\u2066 backwards \u202d\u200f\u061c words \u2067 that never close",
    "controls": "a\x00b\x07c\x1b[31mred\u2028line\u2029paragraph\ufeff\ufffe\U000e0041",
    "combining": "Z" + "\u0335\u0348\u0353" * 500,
    "template": "{{constructor.constructor('alert(1)')()}} ${alert(1)} {name}",
}
SHAPE = """() => [...document.querySelectorAll('body *')].map((each) => each.tagName).join()"""


@pytest.mark.parametrize("name", HARM)
def test_an_answer_is_a_text(orders: Running, opened: Opened, name: str) -> None:
    """M1 of tests/threats.md."""
    page = opened(orders)
    ask(page, json.dumps({"words": ["plain"]}))
    last_answer(page)
    plain, width = page.evaluate(SHAPE), page.evaluate("document.documentElement.scrollWidth")
    page.get_by_role("button", name="Clear the conversation").click()
    page.wait_for_selector(".card")
    ask(page, json.dumps({"words": [HARM[name]]}))
    last_answer(page)
    assert page.locator(".answer").evaluate("each => each.textContent") == HARM[name]
    assert page.evaluate(SHAPE) == plain
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_a_word_of_a_hundred_thousand_letters(orders: Running, opened: Opened) -> None:
    page = opened(orders, viewport={"width": 320, "height": 640})
    ask(page, json.dumps({"count": 100, "word": "W" * 1000}))
    assert len(last_answer(page)) == 100_000
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    composer = page.locator(".composer").bounding_box()
    assert composer
    assert composer["y"] + composer["height"] <= 640


def found(page: Page, task: str, says: str, times: int = 1) -> None:
    """Let everything that is found be called so, or be the answer to a question."""
    page.get_by_role("button", name=task, exact=True).click()
    ask(page, json.dumps({"says": says, "times": times}))
    page.wait_for_selector(".result .measured")


@pytest.mark.parametrize("task", ["Find", "Outline", "Ask"])
def test_so_is_what_a_thing_is_called(finder: Running, opened: Opened, task: str) -> None:
    """M1 of tests/threats.md: labels over the picture and in the list, and a text in tokens."""
    page = opened(finder, viewport={"width": 320, "height": 640})
    choose(page, SAMPLE)
    page.wait_for_selector(".result .measured")
    found(page, task, "plain")
    plain, width = page.evaluate(SHAPE), page.evaluate("document.documentElement.scrollWidth")
    shown = page.locator(".answer" if task == "Ask" else ".found-label, .overlay .label")
    for name, harm in HARM.items():
        says, times = harm[:300], 5 if name == "combining" else 1
        found(page, task, says, times)
        assert page.evaluate(SHAPE) == plain, name
        assert page.evaluate("document.documentElement.scrollWidth") == width, name
        assert shown.count() == (1 if task == "Ask" else 4), name
        assert set(shown.evaluate_all("all => all.map((each) => each.textContent)")) == {says * times}, name


@pytest.mark.parametrize("task", ["Find", "Ask"])
def test_and_a_name_of_a_hundred_thousand_letters(finder: Running, opened: Opened, task: str) -> None:
    page = opened(finder, viewport={"width": 320, "height": 640})
    choose(page, SAMPLE)
    page.wait_for_selector(".result .measured")
    found(page, task, "W" * 1000, 100)
    shown = page.locator(".answer" if task == "Ask" else ".found-label").first
    assert len(shown.text_content() or "") == 100_000
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    frame = page.locator(".frame").bounding_box()
    composer = page.locator(".composer").bounding_box()
    assert frame
    assert composer
    assert frame["x"] + frame["width"] <= 320
    assert composer["y"] + composer["height"] <= 640


def violations(page: Page) -> list[Any]:
    """What axe-core finds, rules and elements."""
    if not AXE.exists():
        pytest.skip("axe-core is not here (make page-tools, which needs npm)")
    # The page's own policy lets nothing in; the browser's debugger is no page.
    page.evaluate(AXE.read_text())
    found = page.evaluate("() => axe.run(document, { resultTypes: ['violations'] })")
    return [(each["id"], [node["html"][:200] for node in each["nodes"]]) for each in found["violations"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_left_out_of_the_conversation(vision: Running, opened: Opened, scheme: str) -> None:
    page = opened(vision, color_scheme=scheme)
    assert violations(page) == []
    choose(page, SAMPLE)
    ask(page, "Describe the image.")
    last_answer(page)
    assert violations(page) == []
    for name in ("Settings", "As code", "What the model saw", "Status"):
        page.get_by_role("button", name=name, exact=True).last.click()
        page.wait_for_selector("dialog[open] h2")
        page.wait_for_load_state("networkidle")
        assert violations(page) == [], name
        page.keyboard.press("Escape")
        page.wait_for_selector("dialog", state="detached")


@pytest.mark.parametrize(("scheme", "width"), [("light", 320), ("dark", 1280)])
def test_nor_of_the_tasks(finder: Running, opened: Opened, scheme: str, width: int) -> None:
    page = opened(finder, color_scheme=scheme, viewport={"width": width, "height": 740})
    assert violations(page) == []
    page.get_by_role("button", name="Detect").click()
    choose(page, SAMPLE)
    page.wait_for_selector(".found-item >> nth=1")
    assert violations(page) == []


def test_the_keyboard_alone(vision: Running, opened: Opened) -> None:
    page = opened(vision)
    assert page.evaluate("document.activeElement.id") == "question"
    for _ in range(20):
        page.keyboard.press("Shift+Tab")
        if page.evaluate("document.activeElement.className") == "card":
            break
    page.keyboard.press("Enter")
    assert last_answer(page)
    assert page.locator("#said").inner_text() == page.locator(".answer").inner_text()


LANGUAGES = {"de-DE": ("Fragen Sie", "bereit"), "fr-FR": ("Posez", "prêt")}


@pytest.mark.parametrize("locale", LANGUAGES)
@pytest.mark.parametrize("width", [320, 1280])
def test_other_languages(vision: Running, opened: Opened, locale: str, width: int) -> None:
    title, state = LANGUAGES[locale]
    page = opened(vision, locale=locale, viewport={"width": width, "height": 640}, color_scheme="dark")
    assert page.locator(".title").inner_text().startswith(title)
    assert page.locator("html").get_attribute("lang") == locale[:2]
    page.locator(".state", has_text=state).wait_for()
    page.locator(".card").first.click()
    assert last_answer(page) == "A red circle to the left of a blue square."
    wide = "[...document.querySelectorAll('body *')].filter((each) => each.scrollWidth > 0 && "
    wide += "each.getBoundingClientRect().right > innerWidth + 1 && !each.closest('.suggestions, .sr'))"
    assert page.evaluate(f"{wide}.map((each) => each.outerHTML.slice(0, 120))") == []


def test_the_status_tells_all_and_nothing_of_what_was_asked(vision: Running, opened: Opened) -> None:
    page = opened(vision)
    ask(page, "Who are you, my secret?")
    last_answer(page)
    page.locator(".strip-main").click()
    shown = page.locator("dialog")
    shown.get_by_role("heading", name="Where it computes").wait_for()
    shown.get_by_text("/v1/chat/completions").first.wait_for()
    shown.get_by_role("heading", name="Models on this machine").wait_for()
    assert "my secret" not in shown.inner_text()
    assert shown.get_by_role("link").get_attribute("href") == f"http://127.0.0.1:{vision.port}/docs"


FETCH = {"model": "qwen2-vl-2b", "done": 410_000_000, "total": 1_000_000_000, "left_s": 360, "problem": None}
STATES: dict[str, tuple[dict[str, Any], str, str]] = {
    "fetching": (
        {"model_loaded": False, "model": None, "model_source": {"fetch": FETCH, "awaits": "..."}},
        "fetching 41%",
        "qwen2-vl-2b is being fetched: 41% of 1.0 GB. 1.6 MB/s, about 6 min left.",
    ),
    "could not be fetched": (
        {"model": None, "model_source": {"fetch": FETCH | {"problem": "the disk is full"}, "awaits": "..."}},
        "",
        "qwen2-vl-2b could not be fetched: the disk is full",
    ),
    "hot": (
        {"host": {"temperature_c": 86, "throttling": {"throttled": True}, "drained": False}},
        "slowed down",
        "",
    ),
    "lost": (
        {"code": "device_lost", "model_loaded": False, "error": "the chip went away; it is looked for again"},
        "chip in trouble",
        "the chip went away; it is looked for again",
    ),
    "loading": ({"engine": {"phase": "loading"}, "model_loaded": False}, "loading", ""),
}


@pytest.mark.parametrize("name", STATES)
def test_each_state_is_told_in_words(vision: Running, opened: Opened, name: str) -> None:
    """What this machine cannot be brought into is put into the service's own answer."""
    changed, state, about = STATES[name]
    page = opened(vision)

    def answer(route: Any) -> None:
        route.fulfill(json=route.fetch().json() | changed)

    page.route("**/v1/status", answer)
    page.reload()
    page.locator(".state", has_text=state).wait_for()
    page.locator(".welcome", has_text=about).wait_for()
    page.unroute_all(behavior="wait")


@pytest.mark.parametrize("service", ["vision", "florence"])
def test_a_fetch_moves_on_and_nothing_beside_it(
    opened: Opened, request: pytest.FixtureRequest, service: str
) -> None:
    """Who is about to press an example, or stands on one with the keyboard, still does a second later."""
    page = opened(request.getfixturevalue(service))
    done = 0

    def answer(route: Any) -> None:
        nonlocal done
        done += 10_000_000
        source = {"fetch": FETCH | {"done": done}, "awaits": "..."}
        route.fulfill(json=route.fetch().json() | {"model_source": source})

    page.route("**/v1/status", answer)
    page.locator(".fetching").wait_for()
    page.locator(".card").first.focus()
    told = page.locator(".fetching").inner_text()
    page.wait_for_function("told => document.querySelector('.fetching').innerText !== told", arg=told)
    assert page.evaluate("document.activeElement.className") == "card"
    page.unroute_all(behavior="wait")

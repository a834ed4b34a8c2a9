"""hailo-florence's page: a box on the picture, drawn in each way that people have, and asked about."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.hailo_florence.api.running import Running
from tests.page.conftest import SAMPLE, Opened, choose
from tests.page.test_everybody import violations
from training.scenes.sample_picture import CIRCLE, SIZE, SQUARE

if TYPE_CHECKING:
    from playwright.sync_api import Page

TASKS = ("Name here", "Describe here", "Outline here", "Read here")
Point = tuple[float, float]


def begun(page: Page, task: str = "Name here") -> None:
    """A picture, and a task about a box on it."""
    choose(page, SAMPLE)
    page.wait_for_selector(".result .measured")
    page.get_by_role("button", name=task).click()
    page.wait_for_selector(".region")


def around(thing: tuple[int, int, int]) -> tuple[Point, Point]:
    """The corners of what lies around a thing of the sample, in shares of its sides."""
    x, y, half = thing
    reach = half + 8
    return ((x - reach) / SIZE[0], (y - reach) / SIZE[1]), ((x + reach) / SIZE[0], (y + reach) / SIZE[1])


def on_page(page: Page, point: Point) -> Point:
    """Where a point of the picture is on the page."""
    image = page.locator(".frame img").bounding_box()
    assert image
    return image["x"] + point[0] * image["width"], image["y"] + point[1] * image["height"]


def drag(page: Page, begin: Point, end: Point) -> None:
    """With the mouse, from one point of the picture to another."""
    page.mouse.move(*on_page(page, begin))
    page.mouse.down()
    page.mouse.move(*on_page(page, ((begin[0] + end[0]) / 2, end[1])))
    page.mouse.move(*on_page(page, end))
    page.mouse.up()


def touch(page: Page, begin: Point, end: Point) -> None:
    """As `drag`, with a finger."""
    session = page.context.new_cdp_session(page)
    for kind, points in (("touchStart", [begin]), ("touchMove", [end]), ("touchEnd", [])):
        places = [dict(zip("xy", on_page(page, point), strict=True)) for point in points]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})


def told(page: Page, text: str) -> None:
    """Wait for an answer."""
    page.locator(".result .answer", has_text=re.compile(f"^{text}$")).wait_for()


def box(page: Page) -> list[float]:
    """What is drawn, in shares of the picture's sides."""
    drawn = page.locator(".region-box").bounding_box()
    image = page.locator(".frame img").bounding_box()
    assert drawn
    assert image
    x, y = (drawn["x"] - image["x"]) / image["width"], (drawn["y"] - image["y"]) / image["height"]
    return [x, y, x + drawn["width"] / image["width"], y + drawn["height"] / image["height"]]


def test_a_box_is_drawn_with_the_mouse_in_either_direction(finder: Running, opened: Opened) -> None:
    page = opened(finder)
    begun(page)
    begin, end = around(CIRCLE)
    drag(page, begin, end)
    told(page, "red circle")
    assert box(page) == pytest.approx([*begin, *end], abs=0.01)
    begin, end = around(SQUARE)
    drag(page, end, begin)
    told(page, "blue square")
    drag(page, (0.01, 0.01), (0.1, 0.1))
    told(page, "nothing")


def test_a_box_that_is_drawn_while_the_last_is_asked_about_counts(finder: Running, opened: Opened) -> None:
    page = opened(finder)
    begun(page, "Describe here")
    drag(page, *around(CIRCLE))
    page.locator(".growing").wait_for()
    drag(page, *around(SQUARE))
    told(page, "blue square")


def test_and_with_a_finger(finder: Running, opened: Opened) -> None:
    """On a telephone: a stroke draws, a tap moves what was drawn, and the page does not move under either."""
    page = opened(finder, viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    begun(page)
    before = page.evaluate("[scrollY, document.querySelector('.stage').scrollTop]")
    touch(page, *around(CIRCLE))
    told(page, "red circle")
    left, top, right, bottom = box(page)
    x, y, _ = SQUARE
    page.touchscreen.tap(*on_page(page, (x / SIZE[0], y / SIZE[1])))
    told(page, "blue square")
    moved = box(page)
    size = [right - left, bottom - top]
    assert [moved[2] - moved[0], moved[3] - moved[1]] == pytest.approx(size, abs=0.02)
    assert page.evaluate("[scrollY, document.querySelector('.stage').scrollTop]") == before


def test_and_with_the_keyboard_alone(finder: Running, opened: Opened) -> None:
    """What is chosen, moved and sized is told to a screen reader."""
    page = opened(finder)
    choose(page, SAMPLE)
    page.wait_for_selector(".result .measured")
    page.get_by_role("button", name="Name here").focus()
    page.keyboard.press("Enter")
    region = page.get_by_role("application", name="Box on the picture")
    assert region.evaluate("each => each === document.activeElement")
    how = region.get_attribute("aria-describedby")
    assert "Arrow keys" in (page.locator(f"#{how}").text_content() or "")
    for key, times in (("ArrowRight", 10), ("ArrowUp", 5), ("Shift+ArrowLeft", 3), ("Shift+ArrowDown", 4)):
        for _ in range(times):
            page.keyboard.press(key)
    assert box(page) == pytest.approx([0.45, 0.15, 0.89, 0.73], abs=0.01)
    said = page.locator("#said").inner_text().replace("\N{NO-BREAK SPACE}", " ")
    assert said == "from 45% to 89% across, from 15% to 73% down"
    for _ in range(60):
        page.keyboard.press("ArrowRight")
    assert box(page)[2] == pytest.approx(1, abs=0.01)
    page.keyboard.press("Enter")
    told(page, "blue square|nothing")
    assert region.evaluate("each => each === document.activeElement")


def test_an_outline_comes_back_where_the_thing_is(finder: Running, opened: Opened) -> None:
    page = opened(finder)
    begun(page, "Outline here")
    drag(page, *around(SQUARE))
    page.wait_for_selector(".mark")
    assert page.locator(".found-item").count() == 1
    drawn = page.locator(".mark .line").bounding_box()
    assert drawn
    x, y, half = SQUARE
    begin = on_page(page, ((x - half) / SIZE[0], (y - half) / SIZE[1]))
    end = on_page(page, ((x + half) / SIZE[0], (y + half) / SIZE[1]))
    seen = [drawn["x"], drawn["y"], drawn["x"] + drawn["width"], drawn["y"] + drawn["height"]]
    # The line itself has a width, and the model's pixels are coarser.
    assert seen == pytest.approx([*begin, *end], abs=12)


def test_only_a_model_that_knows_them_is_offered_them(
    florence: Running, finder: Running, opened: Opened
) -> None:
    page = opened(florence)
    page.wait_for_selector(".task[aria-disabled=true]")
    names = page.locator(".task").all_inner_texts()
    assert "Detect" in names
    assert not set(TASKS) & set(names)
    page = opened(finder)
    page.get_by_role("button", name="Read here").wait_for()
    assert set(TASKS) <= set(page.locator(".task").all_inner_texts())


def test_nobody_is_left_out_of_it(finder: Running, opened: Opened) -> None:
    page = opened(finder)
    begun(page)
    assert violations(page) == []


@pytest.mark.parametrize(
    ("locale", "task", "name"),
    [("de-DE", "Hier benennen", "Kasten auf dem Bild"), ("fr-FR", "Nommer ici", "Cadre sur l'image")],
)
def test_other_languages(finder: Running, opened: Opened, locale: str, task: str, name: str) -> None:
    page = opened(finder, locale=locale)
    choose(page, SAMPLE)
    page.get_by_role("button", name=task).click()
    page.get_by_role("application", name=name).wait_for()


@pytest.mark.parametrize("language", ["curl", "Python"])
def test_the_request_as_code_asks_about_the_same_box(
    finder: Running, opened: Opened, tmp_path: Path, language: str
) -> None:
    pytest.importorskip("requests")
    page = opened(finder)
    begun(page)
    drag(page, *around(SQUARE))
    told(page, "blue square")
    page.get_by_role("button", name="As code").last.click()
    page.get_by_role("tab", name=language).click()
    code = page.locator("dialog .code").inner_text()
    (tmp_path / "picture.jpg").write_bytes(SAMPLE.read_bytes())
    command = ["bash", "-c", code] if language == "curl" else [sys.executable, "-c", code]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert "blue square" in ran.stdout, ran.stderr

"""hailo-florence's page as somebody uses it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.hailo_florence.api.running import Running, started
from tests.page.conftest import SAMPLE, Opened, choose
from training.scenes.sample_picture import CIRCLE, SIZE, SQUARE

if TYPE_CHECKING:
    from playwright.sync_api import Page


def answer(page: Page) -> str:
    page.wait_for_selector(".result .measured")
    return page.locator(".result .answer").inner_text()


def test_an_example_and_a_question(florence: Running, opened: Opened) -> None:
    page = opened(florence)
    page.locator(".card").first.click()
    assert answer(page) == "a red circle to the left of a blue square"
    page.get_by_role("button", name="Ask", exact=True).click()
    page.locator("#question").fill("How many objects are there?")
    page.locator("#question").press("Enter")
    page.wait_for_function("() => document.querySelector('.result .answer')?.innerText === '2'")


def test_a_text_grows_while_it_is_made(finder: Running, opened: Opened) -> None:
    page = opened(finder)
    page.locator(".card").first.click()
    page.locator(".growing", has_text="red").wait_for()
    assert answer(page) == "red circle, blue square"


def test_the_first_example_of_the_everyday_model_is_one_that_it_knows(opened: Opened) -> None:
    with started(("hailo_florence", "--demo")) as running:
        page = opened(running)
        page.get_by_role("button", name="A cup of coffee").click()
        assert "cup" in answer(page)
        page.get_by_role("button", name="Detect").click()
        page.locator(".result", has_text="Found: 2").wait_for()
        page.close()


def test_another_task_ends_the_one_before(finder: Running, opened: Opened) -> None:
    page = opened(finder)
    page.locator(".card").first.click()
    page.locator(".growing", has_text="red").wait_for()
    page.get_by_role("button", name="Detect").click()
    page.wait_for_selector(".found-item")
    assert page.locator(".result h2").inner_text() == "Detect"
    assert page.locator(".result .answer").count() == 0


def test_a_picture_in_place_of_one_that_waits_is_told_its_own_place(finder: Running, opened: Opened) -> None:
    page = opened(finder)
    page.route("**/v1/caption", lambda route: None)
    page.locator(".card").first.click()
    page.locator(".waiting-line").wait_for()
    with page.expect_request("**/v1/caption") as second:
        choose(page, SAMPLE)
    name = second.value.headers["x-request-id"]
    with page.expect_request(f"**/v1/status?request={name}", timeout=10_000):
        pass
    page.unroute_all()


def test_what_the_model_cannot_do_says_why(florence: Running, opened: Opened) -> None:
    page = opened(florence)
    page.wait_for_selector(".task[aria-disabled=true]")
    page.get_by_role("button", name="Detect").click(force=True)
    page.get_by_text("This model cannot do that.").wait_for()


@pytest.mark.parametrize("task", ["Detect", "Read text", "Regions"])
@pytest.mark.parametrize("size", [(1280, 800), (320, 640)])
def test_places_are_drawn_where_things_are(
    finder: Running, opened: Opened, task: str, size: tuple[int, int]
) -> None:
    page = opened(finder, viewport={"width": size[0], "height": size[1]})
    page.get_by_role("button", name=task).click()
    choose(page, SAMPLE)
    page.wait_for_selector(".mark >> nth=1")
    image = page.locator(".frame img").bounding_box()
    assert image
    for index, (x, y, half) in enumerate((CIRCLE, SQUARE)):
        drawn = page.locator(".mark .line").nth(index).bounding_box()
        assert drawn
        scale = image["width"] / SIZE[0]
        truth = [image["x"] + (x - half) * scale, image["y"] + (y - half) * scale, 2 * half * scale]
        seen = [drawn["x"], drawn["y"], drawn["width"]]
        # The line itself has a width, and the model's pixels are coarser.
        assert seen == pytest.approx(truth, abs=4 + 4 * scale)


def test_list_and_picture_point_at_each_other(finder: Running, opened: Opened) -> None:
    page = opened(finder)
    page.get_by_role("button", name="Detect").click()
    choose(page, SAMPLE)
    item = page.get_by_role("button", name=re.compile("blue square"))
    item.hover()
    page.wait_for_selector(".mark.on >> nth=0")
    assert page.locator(".label.on").inner_text() == "blue square"
    page.locator(".mark .line").first.hover()
    page.wait_for_selector(".found-item[aria-pressed=true] >> text=red circle")


def test_a_live_camera_asks_again_and_again(florence: Running, opened: Opened) -> None:
    page = opened(florence, permissions=["camera"])
    with page.expect_request("**/v1/caption"):
        page.get_by_role("button", name="Live camera").click()
    for _ in range(3):
        with page.expect_response("**/v1/caption"):
            pass
    assert answer(page)
    page.get_by_role("button", name="Stop").click()
    page.wait_for_selector(".drop")


def test_what_the_model_saw(finder: Running, opened: Opened) -> None:
    page = opened(finder)
    choose(page, SAMPLE)
    page.wait_for_selector(".result .measured")
    page.get_by_role("button", name="What the model saw").click()
    page.get_by_text("384 × 384").wait_for()

"""From the address to the first answer, as somebody does it who has never seen the page, on a telephone."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest

from tests.page.conftest import SAMPLE, WAIT_MS, Opened

if TYPE_CHECKING:
    from playwright.sync_api import Page

MOST_TOUCHES = 3
COUNT = "addEventListener('pointerup', () => (window.touches = (window.touches ?? 0) + 1), true)"
PICKED = 1
"""What the telephone's own picker takes at least."""


def begun(opened: Opened, request: pytest.FixtureRequest, service: str) -> tuple[Page, float]:
    """A page that counts its touches, and when it was asked for."""
    began = time.monotonic()
    running = request.getfixturevalue(service)
    page = opened(running, viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    page.evaluate(COUNT)
    return page, began


def ended(page: Page, began: float, record: pytest.FixtureRequest, more: int = 0) -> None:
    """Wait for the answer; the time is told and not judged, since a machine may be busy."""
    said = "[...document.querySelectorAll('.reply.done .answer, .result:has(.measured) .answer')].at(-1)"
    page.wait_for_function(f"() => {said}?.innerText.includes('red circle')", timeout=WAIT_MS)
    taken, touches = time.monotonic() - began, page.evaluate("window.touches") + more
    print(f"{record.node.name}: {taken:.1f} s and {touches} touches from the address to the answer")
    assert touches <= MOST_TOUCHES


@pytest.mark.parametrize("service", ["vision", "florence"])
def test_with_an_example(opened: Opened, request: pytest.FixtureRequest, service: str) -> None:
    request.getfixturevalue(service)
    page, began = begun(opened, request, service)
    assert "demo" in page.locator(".about").inner_text()
    page.locator(".card").first.tap()
    ended(page, began, request)
    facts = r"first token .* tokens/s .* tokens" if service == "vision" else r"s · \d+ tokens"
    assert re.search(facts, page.locator(".measured").inner_text())


@pytest.mark.parametrize("service", ["vision", "florence"])
def test_with_a_picture_of_ones_own(opened: Opened, request: pytest.FixtureRequest, service: str) -> None:
    request.getfixturevalue(service)
    page, began = begun(opened, request, service)
    with page.expect_file_chooser() as picker:
        page.get_by_role("button", name="Add a picture").tap()
    picker.value.set_files(SAMPLE)
    if service == "vision":
        page.get_by_role("button", name="Describe the image.").tap()
    ended(page, began, request, PICKED)

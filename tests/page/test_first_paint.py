"""How the page begins: with its own files, all asked for at once, and nothing moves when the rest comes."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.page.conftest import Opened

SERVICES = ["vision", "florence"]
PHONE = {"viewport": {"width": 360, "height": 640}, "has_touch": True, "is_mobile": True}
MOVED = """() => new Promise((done) => {
  let sum = 0;
  new PerformanceObserver((list) => {
    for (const each of list.getEntries()) sum += each.value;
  }).observe({ type: "layout-shift", buffered: true });
  setTimeout(() => done(sum), 300);
})"""


@pytest.mark.parametrize("service", SERVICES)
def test_it_is_painted_from_its_own_files_each_of_which_is_named_in_the_first(
    opened: Opened, request: pytest.FixtureRequest, service: str
) -> None:
    """While the API does not answer at all."""
    page = opened(request.getfixturevalue(service))
    asked: list[str] = []
    page.route("**/v1/**", lambda route: None)
    page.on("request", lambda sent: asked.append(urlsplit(sent.url).path))
    page.reload()
    page.wait_for_selector(".title")
    page.wait_for_function("() => performance.getEntriesByName('first-contentful-paint').length")
    named = page.locator("link[rel=modulepreload], link[rel=stylesheet], script")
    own = named.evaluate_all("all => all.map((each) => new URL(each.href ?? each.src).pathname)")
    assert sorted(asked) == sorted(["/", *own, "/v1/status"])
    page.unroute_all()


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("size", [PHONE, {}], ids=["phone", "desktop"])
def test_nothing_moves_when_the_service_has_said_what_it_is(
    opened: Opened, request: pytest.FixtureRequest, service: str, size: dict[str, Any]
) -> None:
    page = opened(request.getfixturevalue(service), **size)

    def late(route: Any) -> None:
        page.wait_for_timeout(400)
        route.continue_()

    page.route("**/v1/status", late)
    page.reload()
    page.wait_for_selector(".card >> nth=2")
    page.locator(".state", has_text="ready").wait_for()
    assert page.evaluate(MOVED) < 0.01
    page.unroute_all(behavior="wait")

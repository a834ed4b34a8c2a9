"""The picture at the top of the README, and the requests that the page shows as code."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hailo_florence.api.running import Running, started
from tests.page.conftest import ROOT, SAMPLE, SHOTS, Opened, ask, choose, last_answer

PICTURE = ROOT / "docs/page.png"
PHOTOGRAPH = ROOT / "docs/page-florence.jpg"
COFFEE = ROOT / "docs/coffee.jpg"
MOST_BYTES = 200_000


def test_the_picture_of_the_readme(vision: Running, opened: Opened) -> None:
    """`make page-picture` writes it to its place; here it is made as well, and looked at."""
    page = opened(vision, viewport={"width": 1120, "height": 680})
    choose(page, SAMPLE)
    ask(page, "Describe the image.")
    assert last_answer(page) == "A red circle to the left of a blue square."
    ask(page, "What color is the circle?")
    assert last_answer(page, 2) == "red"
    page.mouse.move(0, 0)
    page.locator(".state", has_text="ready").wait_for()
    to = PICTURE if os.environ.get("HAILO_PAGE_PICTURE") else SHOTS / PICTURE.name
    page.screenshot(path=to)
    assert to.stat().st_size <= MOST_BYTES
    assert PICTURE.stat().st_size <= MOST_BYTES


def test_the_photograph_of_the_readme(opened: Opened) -> None:
    """What the embedded model finds in a photograph, drawn over it; written as the picture above is."""
    with started(("hailo_florence", "--demo")) as running:
        page = opened(running, viewport={"width": 1120, "height": 680})
        page.get_by_role("button", name="Detect").click()
        choose(page, COFFEE)
        page.wait_for_selector(".mark >> nth=1")
        for name in ("cup", "dining table"):
            page.get_by_role("button", name=name).first.wait_for()
        page.mouse.move(0, 0)
        page.locator(".state", has_text="ready").wait_for()
        to = PHOTOGRAPH if os.environ.get("HAILO_PAGE_PICTURE") else SHOTS / PHOTOGRAPH.name
        page.screenshot(path=to, type="jpeg", quality=85)
        # Else it asks once more how the service is, which is gone by then, and the console hears of that.
        page.close()
    assert to.stat().st_size <= MOST_BYTES
    assert PHOTOGRAPH.stat().st_size <= MOST_BYTES


@pytest.mark.parametrize("language", ["curl", "Python"])
@pytest.mark.parametrize("service", ["vision", "florence"])
def test_what_is_shown_as_code_runs_as_it_stands(
    opened: Opened, request: pytest.FixtureRequest, tmp_path: Path, service: str, language: str
) -> None:
    pytest.importorskip("openai" if service == "vision" else "requests")
    page = opened(request.getfixturevalue(service))
    page.get_by_role("button", name="As code").last.click()
    page.get_by_role("tab", name=language).click()
    code = page.locator("dialog .code").inner_text()
    assert page.evaluate("location.host") in code
    shutil.copy(SAMPLE, tmp_path / "picture.jpg")
    command = ["bash", "-c", code] if language == "curl" else [sys.executable, "-c", code]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert re.search("a red circle to the left of a blue square", ran.stdout, re.IGNORECASE), ran.stderr


@pytest.mark.parametrize("name", ["JavaScript", "Home Assistant"])
def test_the_others_are_whole(vision: Running, opened: Opened, name: str) -> None:
    page = opened(vision)
    page.locator("#question").fill('It\'s "quoted" and `odd` ${here}?')
    page.get_by_role("button", name="As code").last.click()
    page.get_by_role("tab", name=name).click()
    code = page.locator("dialog .code").inner_text()
    if name == "Home Assistant":
        assert f"http://127.0.0.1:{vision.port}/v1/vision/analyze" in code
        return
    if shutil.which("node") is None:
        pytest.skip("there is no node here")
    checked = subprocess.run(
        ["node", "--check", "--input-type=module", "-"],
        input=code,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr

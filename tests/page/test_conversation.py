"""hailo-vision's page as somebody uses it."""

from __future__ import annotations

import base64
import contextlib
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image, ImageDraw

from tests.hailo_florence.api.running import FAKE_VISION, Running, started
from tests.page.conftest import SAMPLE, Opened, ask, choose, last_answer

if TYPE_CHECKING:
    from playwright.sync_api import Page

TRUTH = "A red circle to the left of a blue square."
GONE = r"ERR_|Failed to load resource"
"""What a browser writes to its console by itself when a request fails."""


def one_shape() -> bytes:
    """A picture with a single object."""
    image = Image.new("RGB", (320, 320), (240, 240, 240))
    ImageDraw.Draw(image).ellipse((90, 90, 230, 230), fill=(20, 120, 40))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def drop(page: Page, data: bytes, name: str, kind: str, event: str = "drop") -> None:
    """Let go of a file over the page, or paste it."""
    page.evaluate(
        """([text, name, kind, event]) => {
          const bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
          const held = new DataTransfer();
          held.items.add(new File([bytes], name, { type: kind }));
          if (event === "paste") dispatchEvent(new ClipboardEvent("paste", { clipboardData: held }));
          else for (const each of ["dragenter", "dragover", "drop"])
            dispatchEvent(new DragEvent(each, { dataTransfer: held, cancelable: true }));
        }""",
        [base64.b64encode(data).decode(), name, kind, event],
    )


def test_the_first_example_of_the_everyday_model_is_one_that_it_knows(opened: Opened) -> None:
    with started(("hailo_vision", "--demo")) as running:
        page = opened(running)
        page.get_by_role("button", name="A cup of coffee").click()
        assert "cup" in last_answer(page)
        ask(page, "Is there a dog?")
        assert last_answer(page, 2) == "No, I see no dog."
        page.close()


def test_choose_ask_follow_up_and_what_the_cache_did(vision: Running, opened: Opened) -> None:
    page = opened(vision)
    choose(page, SAMPLE)
    page.wait_for_selector(".stage img")
    ask(page, "Describe the image.")
    assert last_answer(page) == TRUTH
    ask(page, "What color is the circle?")
    assert last_answer(page, 2) == "red"
    assert "picture known" in page.locator(".measured").last.inner_text()


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_drop_and_paste(vision: Running, opened: Opened, way: str) -> None:
    page = opened(vision)
    drop(page, SAMPLE.read_bytes(), "sample.jpg", "image/jpeg", way)
    page.wait_for_selector(".stage img")
    page.get_by_role("button", name="Ask", exact=True).click()
    assert last_answer(page) == TRUTH


def test_two_pictures(vision: Running, opened: Opened) -> None:
    page = opened(vision)
    sample = {"name": "sample.jpg", "mimeType": "image/jpeg", "buffer": SAMPLE.read_bytes()}
    choose(page, sample, {"name": "one.png", "mimeType": "image/png", "buffer": one_shape()})
    page.wait_for_selector(".stage .figure >> nth=1")
    ask(page, "Which image has more objects?")
    assert last_answer(page) == "The first image."


def test_a_picture_is_taken_away_again(vision: Running, opened: Opened) -> None:
    page = opened(vision)
    choose(page, SAMPLE)
    page.get_by_role("button", name="Take sample.jpg away").click()
    page.wait_for_selector(".drop")


def test_the_camera(vision: Running, opened: Opened) -> None:
    page = opened(vision, permissions=["camera"])
    page.locator(".stage").get_by_role("button", name="Camera").click()
    page.wait_for_function("() => document.querySelector('video')?.videoWidth > 0")
    page.get_by_role("button", name="Take a picture").last.click()
    page.wait_for_selector(".stage img")
    ask(page, "Describe the image.")
    assert last_answer(page)


def test_a_wrong_file_and_a_huge_one(vision: Running, opened: Opened, tmp_path: Path) -> None:
    page = opened(vision)
    choose(page, {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"no picture"})
    page.get_by_text("notes.txt is no picture (text/plain).").wait_for()
    huge = tmp_path / "huge.jpg"
    with huge.open("wb") as file:
        file.truncate(101_000_000)
    choose(page, huge)
    page.get_by_text("huge.jpg has 101 MB").wait_for()
    choose(page, {"name": "broken.jpg", "mimeType": "image/jpeg", "buffer": b"\xff\xd8\xff\xe0 broken"})
    page.get_by_text("this browser cannot show it").wait_for()


def test_what_the_service_cannot_read_it_says(vision: Running, opened: Opened) -> None:
    page = opened(vision, expect=GONE)
    choose(page, {"name": "broken.jpg", "mimeType": "image/jpeg", "buffer": b"\xff\xd8\xff\xe0 broken"})
    ask(page, "Describe the image.")
    page.wait_for_selector(".reply.failed")
    assert "cannot read this picture" in page.locator(".trouble").inner_text()


def test_a_large_photo_is_made_smaller_and_it_says_so(vision: Running, opened: Opened) -> None:
    page = opened(vision)
    photo = io.BytesIO()
    Image.open(SAMPLE).resize((4000, 3000)).save(photo, "JPEG", quality=95)
    choose(page, {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": photo.getvalue()})
    page.get_by_text("4000 × 3000").wait_for()
    assert "1600 × 1200" in page.locator(".note").inner_text()
    with page.expect_request("**/v1/chat/completions") as sent:
        ask(page, "Describe the image.")
    assert len(sent.value.post_data or "") < len(photo.getvalue())
    assert last_answer(page) == TRUTH


def test_an_answer_streams_and_stops(orders: Running, opened: Opened) -> None:
    page = opened(orders)
    ask(page, json.dumps({"count": 400, "step_s": 0.03}))
    page.wait_for_selector(".reply.streaming")
    first = len(page.locator(".answer").inner_text())
    page.wait_for_function("length => document.querySelector('.answer').innerText.length > length", arg=first)
    page.keyboard.press("Escape")
    page.wait_for_selector(".reply.stopped")
    stopped = page.locator(".answer").inner_text()
    assert 0 < len(stopped) < 400 * len("word ")
    assert "stopped" in page.locator(".measured").inner_text()
    orders.until(lambda: orders.health()["queue"]["running"] == 0, 5)


def test_nothing_jumps_while_an_answer_streams(orders: Running, opened: Opened) -> None:
    page = opened(orders)
    page.evaluate(
        """() => {
          window.places = new Set();
          const look = () => {
            const parts = [".strip", ".stage", ".composer", ".question", ".answer"];
            const tops = parts.map((part) => document.querySelector(part)?.getBoundingClientRect());
            if (document.querySelector(".reply"))
              window.places.add(tops.map((each) => [each.left, each.top, each.width].join()).join("; "));
            requestAnimationFrame(look);
          };
          look();
        }"""
    )
    ask(page, json.dumps({"count": 150, "step_s": 0.005}))
    last_answer(page)
    assert page.evaluate("[...window.places]") == page.evaluate("[...window.places].slice(0, 1)")


def test_the_place_in_the_queue_and_a_full_one(orders: Running, opened: Opened) -> None:
    first, second, third = (opened(orders, expect=GONE) for _ in range(3))
    ask(first, json.dumps({"count": 1000, "step_s": 0.02}))
    first.wait_for_selector(".reply.streaming")
    ask(second, "I wait")
    second.get_by_text("Next in the queue").wait_for()
    ask(third, "I do not fit")
    third.wait_for_selector(".reply.failed")
    assert "Too many are waiting" in third.locator(".trouble").inner_text()
    first.keyboard.press("Escape")
    assert last_answer(second).strip() == "I wait"
    third.get_by_role("button", name="Try again").click()
    assert last_answer(third).strip() == "I do not fit"


def test_edit_repeat_and_clear(orders: Running, opened: Opened) -> None:
    page = opened(orders)
    ask(page, "first words")
    assert last_answer(page).strip() == "first words"
    page.get_by_role("button", name="Edit the question").click()
    assert page.locator("#question").input_value() == "first words"
    ask(page, "other words")
    assert last_answer(page).strip() == "other words"
    page.get_by_role("button", name="Answer again").click()
    assert last_answer(page).strip() == "other words"
    page.reload()
    assert last_answer(page).strip() == "other words"
    page.get_by_role("button", name="Clear the conversation").click()
    page.wait_for_selector(".card")
    page.reload()
    page.wait_for_selector(".card")
    assert page.locator(".turn").count() == 0


def test_a_full_context_begins_anew(orders: Running, opened: Opened) -> None:
    page = opened(orders, expect=GONE)
    ask(page, "word " * 3000)
    page.locator(".trouble", has_text="This conversation is full").wait_for()
    page.get_by_role("button", name="Start anew with this picture").wait_for()


def test_settings_go_with_the_request(orders: Running, opened: Opened) -> None:
    page = opened(orders)
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("System prompt").fill("Be brief.")
    page.get_by_label("Temperature").fill("0.5")
    page.get_by_label("Longest answer").fill("7")
    page.get_by_label("Answer as JSON").fill("no schema")
    page.get_by_text("This is not a JSON schema").wait_for()
    page.get_by_label("Answer as JSON").fill("")
    page.keyboard.press("Escape")
    with page.expect_request("**/v1/chat/completions") as sent:
        ask(page, "one two three")
    body: Any = sent.value.post_data_json
    assert (body["temperature"], body["max_tokens"]) == (0.5, 7)
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    assert "response_format" not in body


def test_a_service_that_restarts(browser: object, opened: Opened) -> None:
    with started(FAKE_VISION) as before:
        page = opened(before, expect=GONE)
        ask(page, json.dumps({"count": 1000, "step_s": 0.02}))
        page.wait_for_selector(".reply.streaming")
        before.popen.kill()
        before.popen.wait()
        page.wait_for_selector(".reply.failed")
        assert "broken off" in page.locator(".trouble").inner_text()
        page.locator(".state", has_text="away").wait_for()
        with again_on(before.port):
            page.locator(".state", has_text="ready").wait_for()
            page.get_by_role("button", name="Edit the question").click()
            ask(page, "and on")
            assert last_answer(page).strip() == "and on"


def again_on(port: int) -> contextlib.AbstractContextManager[Running]:
    """The same service on the same port."""
    return started(FAKE_VISION, "--port", str(port), ready=False)


def test_a_key_is_asked_for_kept_and_forgotten(browser: object, opened: Opened) -> None:
    settings = json.dumps({"api_keys": ["a-key-of-somebody"]})
    with started(FAKE_VISION, "--settings", settings) as running:
        page = opened(running, expect=GONE, wait="dialog #key")
        page.locator("#key").fill("another-key")
        page.locator("#key").press("Enter")
        page.get_by_text("The last one was not accepted").wait_for()
        page.locator("#key").fill("a-key-of-somebody")
        page.locator("#key").press("Enter")
        page.locator(".state", has_text="ready").wait_for()
        ask(page, "let me in")
        assert last_answer(page).strip() == "let me in"
        page.locator(".strip-main").click()
        assert page.evaluate("Object.values(localStorage).join()").find("a-key") < 0
        page.get_by_role("button", name="Forget the key").click()
        page.wait_for_selector("dialog #key")

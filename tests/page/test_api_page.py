"""The API page: its forms can be sent as they stand, and it asks for a key where one is wanted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from hailo_florence.config import FlorenceSettings
from hailo_florence.service import build
from tests.hailo_florence.api.running import Running
from tests.page.conftest import SAMPLE, Opened

if TYPE_CHECKING:
    from playwright.sync_api import Page

FORM = "multipart/form-data"


def sent(page: Page, path: str, kind: str) -> int:
    """The status of a form of the API page that is sent with nothing but a file added."""
    page.goto(f"{page.url.partition('docs')[0]}docs")
    block = page.locator(f'.opblock-post:has([data-path="{path}"])')
    block.locator(".opblock-summary-control").click()
    block.get_by_role("button", name="Try it out").click()
    if kind == FORM:
        block.locator("select[aria-label='Request content type']").select_option(kind)
        block.locator("input[type=file]").set_input_files(SAMPLE)
    with page.expect_response(lambda answer: answer.request.method == "POST") as answer:
        block.get_by_role("button", name="Execute").click()
    return answer.value.status


def test_an_upload_form_can_be_sent_as_it_stands(finder: Running, opened: Opened) -> None:
    """The one with a list, which is a text in a form; a page of this size is slow to start."""
    assert sent(opened(finder), "/v1/region", FORM) == 200


@pytest.mark.parametrize("path", ["caption", "vqa", "detect", "ground", "segment", "ocr", "region"])
def test_so_can_what_the_document_puts_into_every_form(finder: Running, path: str) -> None:
    document = finder.client.get("/openapi.json").json()
    content = document["paths"][f"/v1/{path}"]["post"]["requestBody"]["content"]
    fields = content[FORM]["schema"]["properties"]
    assert all("example" in field for name, field in fields.items() if name != "image")
    form = {name: str(field["example"]).lower() for name, field in fields.items() if name != "image"}
    files = {"image": ("sample.jpg", SAMPLE.read_bytes())}
    assert finder.client.post(f"/v1/{path}", data=form, files=files).status_code == 200
    assert finder.client.post(f"/v1/{path}", json=content["application/json"]["example"]).status_code == 200


def test_and_what_it_puts_into_a_chat(vision: Running) -> None:
    document = vision.client.get("/openapi.json").json()
    content = document["paths"]["/v1/chat/completions"]["post"]["requestBody"]["content"]
    answer = vision.client.post("/v1/chat/completions", json=content["application/json"]["example"])
    assert answer.status_code == 200


@pytest.mark.parametrize("keys", [(), ("a-key-of-somebody",)])
def test_the_document_says_how_keys_are_sent(keys: tuple[str, ...]) -> None:
    document = build(FlorenceSettings(docs=True, api_keys=keys), "/none").app.openapi()
    schemes = document["components"]["securitySchemes"]
    assert {scheme["type"] for scheme in schemes.values()} == {"http", "apiKey"}
    assert ({} in document["security"]) is not bool(keys)
    assert document["paths"]["/health"]["get"]["security"] == []
    assert json.loads(json.dumps(document)) == document

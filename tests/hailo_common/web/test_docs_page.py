"""The API page where Swagger UI's files are not installed, as in the packages."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from fastapi import FastAPI

from hailo_common.web.docs_page import add_api_page, api_page
from hailo_florence.config import FlorenceSettings
from hailo_florence.service import build as build_florence
from hailo_vision.config import VisionSettings
from hailo_vision.service import build as build_vision


@pytest.mark.parametrize(
    ("made", "path"),
    [
        (lambda: build_florence(FlorenceSettings(docs=True), "/none"), "/v1/caption"),
        (lambda: build_vision(VisionSettings(docs=True), "/none"), "/v1/chat/completions"),
    ],
    ids=["florence", "vision"],
)
def test_every_service_has_a_page(monkeypatch: pytest.MonkeyPatch, made: object, path: str) -> None:
    monkeypatch.setattr("hailo_common.web.docs_page._PACKAGE", "a_package_that_is_not_there")
    assert callable(made)
    page = api_page(made().app.openapi())
    assert f"<code>POST {path}</code>" in page
    assert "<script" not in page
    assert "http" not in page.replace("https://json-schema.org", "")


def test_the_page_is_served_and_escapes_what_it_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hailo_common.web.docs_page._PACKAGE", "a_package_that_is_not_there")
    app = FastAPI(title="<b>bold</b>", docs_url=None)
    add_api_page(app)

    async def get() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://page") as client:
            return await client.get("/docs")

    answer = asyncio.run(get())
    assert answer.status_code == 200
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert "&lt;b&gt;bold&lt;/b&gt;" in answer.text

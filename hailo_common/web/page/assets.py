"""Gives the page to browsers. It is read once, at the start; nothing of it comes from elsewhere."""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path

from fastapi import FastAPI, Request
from starlette.datastructures import Headers
from starlette.responses import Response

FOLDER = Path(__file__).parent / "static"
PICTURES = Path(__file__).parent / "pictures"
"""Examples, which a browser asks for when a model that suits them is there."""
PREFIX = "/page/"
_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".jpg": "image/jpeg",
}
_INDEX = "index.html"
HEADERS = {
    # `trusted-types 'none'`: the browser itself refuses to make markup of a text.
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src blob: data:; "
        "form-action 'none'; base-uri 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    # Asked for again after an upgrade of the package, and else answered with 304.
    "cache-control": "no-cache",
}


def wants_page(headers: Headers) -> bool:
    """Whether who asks for `/` is a browser that shows a page; probes and Ollama's clients get JSON."""
    return "text/html" in headers.get("accept", "")


@dataclass(frozen=True)
class Asset:
    """One file of the page, kept compressed, as browsers ask for it; `size` is that of the file itself."""

    compressed: bytes
    size: int
    media_type: str
    etag: str

    @classmethod
    def of(cls, name: str, content: bytes) -> Asset:
        """The file of this name."""
        etag = f'"{hashlib.sha256(content).hexdigest()[:20]}"'
        return cls(gzip.compress(content, mtime=0), len(content), _TYPES[Path(name).suffix], etag)

    @property
    def content(self) -> bytes:
        """The file itself."""
        return gzip.decompress(self.compressed)

    def answer(self, request: Request) -> Response:
        """The file, or that the browser has it already."""
        headers = {**HEADERS, "etag": self.etag, "vary": "accept, accept-encoding"}
        if self.etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        if "gzip" in request.headers.get("accept-encoding", ""):
            headers["content-encoding"] = "gzip"
            return Response(self.compressed, media_type=self.media_type, headers=headers)
        return Response(self.content, media_type=self.media_type, headers=headers)


class Page:
    """The files of the page of one service."""

    def __init__(self, service: str) -> None:
        files = _files_of(FOLDER)
        # What it is a page of is all that differs between the services.
        marked = files.pop(_INDEX).replace(b"%PRELOADS%", _preloads(f"{service}.js", files))
        self.index = Asset.of(_INDEX, marked.replace(b"%SERVICE%", escape(service).encode()))
        self.assets = {name: Asset.of(name, content) for name, content in sorted(files.items())}
        self.pictures = {name: Asset.of(name, content) for name, content in _files_of(PICTURES).items()}

    @property
    def bytes(self) -> int:
        """What all of it weighs, uncompressed and without example pictures."""
        return sum(each.size for each in (self.index, *self.assets.values()))


def _files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in _TYPES}


def _preloads(module: str, files: Mapping[str, bytes]) -> bytes:
    """Links to all that a module imports: else a browser would find each only in the one before."""
    found = [module]
    for name in found:
        found += [each for each in _imports(files[name]) if each not in found]
    return "\n".join(f'<link rel="modulepreload" href="page/{name}">' for name in found[1:]).encode()


def _imports(module: bytes) -> list[str]:
    return list(dict.fromkeys(re.findall(r'from "\./([\w.-]+)"', module.decode())))


def add_page(app: FastAPI) -> Page:
    """Add the page's files under `/page/`; its index is for whoever answers `/`."""
    page = Page(app.title)
    for name, asset in (page.assets | page.pictures).items():
        _add_file(app, f"{PREFIX}{name}", asset)
    return page


def _add_file(app: FastAPI, path: str, asset: Asset) -> None:
    async def file(request: Request) -> Response:
        return asset.answer(request)

    app.add_api_route(path, file, methods=["GET"], include_in_schema=False)

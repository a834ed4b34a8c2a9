"""The API page: Swagger UI from an installed package, with nothing fetched from elsewhere, else a plain list.

The files come from `fastapi-offline`, which is never imported: only its folder of files is read. Debian has
no Swagger UI that reads what FastAPI writes, OpenAPI 3.1. The plain list is made of the OpenAPI document; it
has no script and fetches nothing, and every text of the document is escaped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.responses import Response

from hailo_common.web.auth import OPEN_PATHS

_PACKAGE = "fastapi_offline"
_FOLDER = Path("static")
_TYPES = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "favicon.png": "image/png",
}
_HEADERS = {
    # Swagger UI sets style attributes and draws small images from data: URLs.
    "content-security-policy": (
        "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
        "frame-ancestors 'none'; form-action 'none'; base-uri 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>API</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
<link rel="icon" type="image/png" href="docs/favicon.png">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
# Without `validatorUrl: null` the page would ask validator.swagger.io about the document.
_START = """SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
});
"""


_KEYS = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "Authorization: Bearer KEY"},
    "key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
}


def add_api_page(app: FastAPI, *, with_keys: bool = False) -> None:
    """Add `/docs` to the app: Swagger UI, or without its package a plain page.

    `with_keys` says that the service wants one; where it does not, its document says that one may be sent.
    """
    _describe_keys(app, with_keys)
    folder = _assets_folder()
    if folder is None:
        _add_listing(app)
        return
    _add_file(app, "/docs", _PAGE.encode(), "text/html")
    _add_file(app, "/docs/start.js", _START.encode(), "text/javascript")
    for name, kind in _TYPES.items():
        _add_file(app, f"/docs/{name}", (folder / name).read_bytes(), kind)


def _describe_keys(app: FastAPI, with_keys: bool) -> None:
    made = app.openapi

    def document() -> dict[str, Any]:
        told = made()
        told.setdefault("components", {})["securitySchemes"] = _KEYS
        told["security"] = [*({name: []} for name in _KEYS), *([] if with_keys else [{}])]
        for path, operations in told.get("paths", {}).items():
            if path in OPEN_PATHS:
                for operation in operations.values():
                    operation["security"] = []
        return told

    app.openapi = document  # type: ignore[method-assign]


def _add_listing(app: FastAPI) -> None:
    @app.get("/docs", include_in_schema=False)
    async def listing() -> Response:
        return Response(api_page(app.openapi()), media_type="text/html", headers=_HEADERS)


def _assets_folder() -> Path | None:
    spec = find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / _FOLDER
    return folder if all((folder / name).is_file() for name in _TYPES) else None


def _add_file(app: FastAPI, path: str, content: bytes, kind: str) -> None:
    async def file() -> Response:
        return Response(content, media_type=kind, headers=_HEADERS)

    app.add_api_route(path, file, methods=["GET"], include_in_schema=False)


_LIST_HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>API</title>
<style>
body { font: 16px/1.5 sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em }
pre { background: #8882; padding: .5em; overflow-x: auto }
code { font-weight: bold }
</style>
</head>
<body>
"""
_METHODS = ("get", "post", "put", "patch", "delete")


def api_page(document: Mapping[str, Any]) -> str:
    """The page of an OpenAPI document."""
    info = document.get("info", {})
    parts = [_LIST_HEAD, f"<h1>{_text(info.get('title'))} {_text(info.get('version'))}</h1>\n"]
    parts.append('<p>The same for programs: <a href="openapi.json">openapi.json</a></p>\n')
    for path, operations in document.get("paths", {}).items():
        for method in _METHODS:
            if method in operations:
                parts += _operation(f"{method.upper()} {path}", operations[method])
    schemas = document.get("components", {}).get("schemas", {})
    parts += [
        f'<h3 id="{_text(name)}">{_text(name)}</h3>\n{_json(schema)}' for name, schema in schemas.items()
    ]
    return "".join([*parts, "</body>\n</html>\n"])


def _operation(name: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f"<h2><code>{_text(name)}</code></h2>\n<p>{_text(operation.get('summary'))}</p>\n"
    if description := operation.get("description"):
        yield f"<p>{_text(description)}</p>\n"
    for parameter in operation.get("parameters", ()):
        where = f"{_text(parameter.get('name'))} ({_text(parameter.get('in'))})"
        yield f"<p><code>{where}</code> {_text(parameter.get('description'))}</p>\n"
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"<p>Body, {_text(kind)}:</p>\n{_json(content.get('schema', {}))}"
    yield "<ul>\n"
    for status, answer in operation.get("responses", {}).items():
        yield f"<li><code>{_text(status)}</code> {_text(answer.get('description'))}</li>\n"
    yield "</ul>\n"


def _json(value: object) -> str:
    return f"<pre>{escape(json.dumps(value, indent=2, ensure_ascii=False))}</pre>\n"


def _text(value: object) -> str:
    return escape(str(value or ""))

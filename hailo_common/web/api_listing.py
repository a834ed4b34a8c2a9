"""The API as one plain page, made of the OpenAPI document: for machines without Swagger UI's files.

No script and nothing to fetch; every text of the document is escaped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

_HEAD = """<!DOCTYPE html>
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
    parts = [_HEAD, f"<h1>{_text(info.get('title'))} {_text(info.get('version'))}</h1>\n"]
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

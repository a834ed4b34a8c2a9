"""What a body may be: its content type, character set and encoding.

A browser asks before it sends JSON or an image to another site; forms and the three types of plain HTML it
sends without asking. So these three are taken for JSON only from what is no browser: curl's `-d` and
PowerShell say `application/x-www-form-urlencoded`, other programs say nothing at all. `origins` guards forms.
"""

from __future__ import annotations

import re

from starlette.requests import Request

from hailo_common.errors import BadRequest, UnsupportedMedia

JSON = "application/json"
FORM = "multipart/form-data"
IMAGE = "image/*"
"""An image's file and nothing else."""

_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
_JSON_TYPE = re.compile(r"(?:application|text)/(?:[a-z0-9.+-]+\+)?(?:json|x-json|x-ndjson)")
_UNSAID = frozenset(
    ("", "*/*", "text/plain", "application/x-www-form-urlencoded", "application/octet-stream")
)
_BROWSER = ("origin", "referer", "sec-fetch-site", "sec-fetch-mode")
_UTF_8 = frozenset(("utf-8", "utf8", "utf_8", "us-ascii", "ascii", ""))
_LATIN = frozenset(("iso-8859-1", "latin1", "latin-1", "iso-8859-15", "windows-1252"))
"""Defaults of old HTTP libraries, written over bodies that are ASCII."""
ENCODINGS = frozenset(("gzip", "x-gzip", "deflate"))
_WORDS = {JSON: "application/json", FORM: "multipart/form-data", IMAGE: "an image's (image/jpeg)"}


def require_media(request: Request, *allowed: str) -> str:
    """Which of `allowed` the request's body is; raises UnsupportedMedia if it is none of them."""
    kind, parameters = _content_type(request)
    found = next((each for each in allowed if _fits(kind, each, request)), None)
    if found is None:
        words = " or ".join(_WORDS[each] for each in allowed)
        raise UnsupportedMedia(f"The content type must be {words}.")
    charset = parameters.get("charset", "").lower()
    if found != IMAGE and charset not in _UTF_8 and not (found == JSON and charset in _LATIN):
        raise UnsupportedMedia("The character set must be UTF-8.")
    if content_encoding(request) not in ENCODINGS | {"identity"}:
        raise UnsupportedMedia("A body may be compressed with gzip or deflate only (Content-Encoding).")
    return found


def _fits(kind: str, allowed: str, request: Request) -> bool:
    if allowed == FORM:
        return kind == FORM
    if allowed == IMAGE:
        return kind.startswith("image/") or (kind == "application/octet-stream" and not _is_browser(request))
    return bool(_JSON_TYPE.fullmatch(kind)) or (kind in _UNSAID and not _is_browser(request))


def _is_browser(request: Request) -> bool:
    return any(name in request.headers for name in _BROWSER)


def is_unsaid(request: Request) -> bool:
    """Whether the content type says nothing of the body, so that its bytes have to."""
    return _content_type(request)[0] in _UNSAID


def content_encoding(request: Request) -> str:
    """How the body is compressed; `identity` if it is not."""
    return request.headers.get("content-encoding", "").strip().lower() or "identity"


def check_charset(request: Request, body: bytes) -> None:
    """Refuse a body that says it is Latin-1 and is more than ASCII; UTF-8 is checked where it is parsed."""
    _, parameters = _content_type(request)
    if parameters.get("charset", "").lower() in _LATIN and not body.isascii():
        raise UnsupportedMedia("The character set must be UTF-8.")


def form_boundary(request: Request) -> str:
    """The boundary of a multipart body; raises BadRequest when there is none that can be used."""
    _, parameters = _content_type(request)
    boundary = parameters.get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise BadRequest("The form has no usable boundary.", code="invalid_form")
    return boundary


def _content_type(request: Request) -> tuple[str, dict[str, str]]:
    values = request.headers.getlist("content-type") or [""]
    kind, *rest = values[0].split(";") if len(values) == 1 else ["two/types"]
    parameters: dict[str, str] = {}
    for item in rest:
        name, _, value = item.partition("=")
        parameters.setdefault(name.strip().lower(), value.strip().strip('"'))
    return kind.strip().lower(), parameters

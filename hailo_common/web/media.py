"""The content types that are accepted, strictly.

Only types that a browser does not send across sites without asking, except forms, which `hosts` guards.
"""

from __future__ import annotations

import re

from starlette.requests import Request

from hailo_common.errors import BadRequest, UnsupportedMedia

JSON = "application/json"
FORM = "multipart/form-data"

_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")


def require_media(request: Request, *allowed: str) -> str:
    """The request's media type, which is one of `allowed`; raises UnsupportedMedia otherwise."""
    kind, parameters = _content_type(request)
    if kind not in allowed:
        raise UnsupportedMedia(f"The content type must be {' or '.join(allowed)}.")
    if parameters.get("charset", "utf-8").lower() not in ("utf-8", "utf8"):
        raise UnsupportedMedia("The character set must be UTF-8.")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMedia("A compressed body is not accepted.")
    return kind


def form_boundary(request: Request) -> bytes:
    """The boundary of a multipart body; raises BadRequest when there is none that can be used."""
    _, parameters = _content_type(request)
    boundary = parameters.get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise BadRequest("The form has no usable boundary.", code="invalid_form")
    return boundary.encode("ascii")


def _content_type(request: Request) -> tuple[str, dict[str, str]]:
    values = request.headers.getlist("content-type")
    kind, *rest = values[0].split(";") if len(values) == 1 else [""]
    parameters: dict[str, str] = {}
    for item in rest:
        name, _, value = item.partition("=")
        parameters.setdefault(name.strip().lower(), value.strip().strip('"'))
    return kind.strip().lower(), parameters

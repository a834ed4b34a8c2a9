from __future__ import annotations

import json
import math

import pytest

from hailo_common import errors
from hailo_common.errors import BadRequest, Busy, InvalidParameter, ServiceError
from hailo_common.web.errors import (
    HttpRefusal,
    encode,
    flat_format,
    from_validation,
    http_status,
)
from hailo_vision.api.openai.errors import openai_format

KINDS = {
    "BadRequest": 400,
    "TooLarge": 413,
    "UnsupportedMedia": 415,
    "InvalidParameter": 422,
    "Undecodable": 422,
    "Unauthorized": 401,
    "NotFound": 404,
    "NotSupported": 501,
    "Unavailable": 503,
    "Busy": 503,
    "QueueTimeout": 503,
    "Interrupted": 503,
    "NotReady": 503,
    "DeviceLost": 503,
    "EngineLost": 503,
    "EngineTimeout": 503,
    "EngineFailed": 500,
    "BadStructure": 502,
    "ServiceError": 500,
}


def test_every_kind_has_a_status() -> None:
    kinds = {
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ServiceError)
    }
    assert {kind.__name__: http_status(kind("x")) for kind in kinds} == KINDS


def test_children_have_the_status_of_their_parent() -> None:
    class Odd(errors.TooLarge):
        pass

    assert http_status(Odd("x")) == 413


def test_shapes() -> None:
    error = InvalidParameter("Too high.", param="n")
    flat = {"error": "invalid_parameters", "message": "Too high.", "status": 422, "param": "n"}
    inner = {
        "message": "Too high.",
        "type": "invalid_request_error",
        "param": "n",
        "code": "invalid_parameters",
    }
    assert flat_format(422, error) == flat
    assert openai_format(422, error) == {"error": inner}
    assert "param" not in flat_format(400, BadRequest("x"))
    assert openai_format(503, Busy("x"))["error"]["type"] == "server_error"


@pytest.mark.parametrize(("given", "sent"), [(None, None), (0, "1"), (7, "7"), (9999, "120")])
def test_retry_after(given: int | None, sent: str | None) -> None:
    status, body, headers = encode(flat_format, Busy("x", retry_after=given))
    assert (status, headers.get("retry-after")) == (503, sent)
    assert json.loads(body)["error"] == "queue_full"


def test_a_refusal_has_its_own_status_and_headers() -> None:
    status, _, headers = encode(flat_format, HttpRefusal(405, "method_not_allowed", "No.", {"allow": "GET"}))
    assert (status, headers) == (405, {"allow": "GET"})


@pytest.mark.parametrize(
    ("report", "param", "code"),
    [
        ({"type": "missing", "loc": ("body", "image")}, "image", "invalid_parameters"),
        (
            {"type": "int_parsing", "loc": ("messages", 0, "text"), "input": math.nan},
            "messages.0.text",
            "invalid_parameters",
        ),
        ({"type": "extra_forbidden", "loc": ("body", "\ud800<script>")}, None, "invalid_parameters"),
        ({"type": "json_invalid", "loc": ("body", 3)}, None, "invalid_json"),
        ({}, None, "invalid_parameters"),
    ],
)
def test_validation_reports(report: dict[str, object], param: str | None, code: str) -> None:
    error = from_validation([report])
    assert (error.param, error.code) == (param, code)


def test_an_empty_report() -> None:
    assert http_status(from_validation([])) == 422

from __future__ import annotations

import contextlib
import json
import re
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hailo_common.errors import BadRequest, ServiceError
from hailo_common.web import strict_json
from hailo_common.web.strict_json import CUT_BYTES
from tests.hailo_common.web.stub import http_limits

MIB = 1024 * 1024
LONG = "QUJD" * (CUT_BYTES // 4)

LIMITS = http_limits()


def parse_json(body: bytes) -> dict[str, Any]:
    return strict_json.parse_json(body, limits=LIMITS)


def code_of(body: bytes) -> str:
    with pytest.raises(ServiceError) as caught:
        parse_json(body)
    return caught.value.code


@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param(b'{"a": NaN}', "invalid_json", id="B1-nan"),
        pytest.param(b'{"a": Infinity}', "invalid_json", id="B1-infinity"),
        pytest.param(b'{"a": -Infinity}', "invalid_json", id="B1-minus-infinity"),
        pytest.param(b'{"a": 1e400}', "invalid_json", id="B1-1e400"),
        pytest.param(b'{"a": [-1e400]}', "invalid_json", id="B1-nested-1e400"),
        pytest.param(b'{"a": "\\ud800"}', "invalid_text", id="B2-lone-surrogate"),
        pytest.param(b'{"a": ["\\udc00x"]}', "invalid_text", id="B2-lone-low-surrogate"),
        pytest.param(b'{"\\ud800": 1}', "invalid_text", id="B2-surrogate-in-key"),
        pytest.param(b'{"a": "\\u0000"}', "invalid_text", id="B2-nul"),
        pytest.param(b'{"a": "\0"}', "invalid_text", id="B2-raw-nul"),
        pytest.param(b'{"a":' + b"[" * 32 + b"]" * 32 + b"}", "json_too_deep", id="B3-depth-33"),
        pytest.param(b'{"a":' + b"[" * 900 + b"]" * 900 + b"}", "json_too_deep", id="B3-depth-900"),
        pytest.param(b"[" * 100_000, "json_too_large", id="B3-depth-100k"),
        pytest.param(b'{"a":' * 1500, "json_too_deep", id="B3-open-objects"),
        pytest.param(b"{}" * (9 * MIB), "json_too_large", id="B4-18-MB-of-objects"),
        pytest.param(b'{"a":[' + b"{}," * 2000 + b"1]}", "json_too_large", id="B4-2002-containers"),
        pytest.param(b'{"a":[' + b'"",' * (5 * MIB) + b"1]}", "json_too_large", id="B4-many-strings"),
        pytest.param('{"a":1}'.encode("utf-16"), "invalid_json", id="B6-utf-16"),
        pytest.param(b'{"a":"\xff"}', "invalid_json", id="B6-latin-1"),
        pytest.param(b"", "invalid_json", id="empty"),
        pytest.param(b"[]", "invalid_json", id="array"),
        pytest.param(b"1", "invalid_json", id="number"),
        pytest.param(b'{"a":1}x', "invalid_json", id="rest"),
        pytest.param(b"{'a':1}", "invalid_json", id="single-quotes"),
        pytest.param(f'{{"{LONG}":1}}'.encode(), "json_too_large", id="long-key"),
        pytest.param(f'{{"a":{LONG}"b":1}}'.encode(), "invalid_json", id="long-outside-a-string"),
        pytest.param(f'{{"a":"b"{LONG}"c"}}'.encode(), "invalid_json", id="long-between-strings"),
        pytest.param(f'{{"a":"{LONG}\\u0041"}}'.encode(), "ok", id="long-with-escape"),
        pytest.param(('{"a":"' + "😀" * 100_000 + '"}').encode(), "json_too_large", id="B2-long-emoji"),
    ],
)
def test_refusals(body: bytes, code: str) -> None:
    if code == "ok":
        assert parse_json(body) == json.loads(body)
    else:
        assert code_of(body) == code


@pytest.mark.parametrize(
    "value",
    [
        pytest.param({"a": 1, "b": [1.5, None, True, "x"]}, id="plain"),
        pytest.param({"a": "\u202e"}, id="B2-direction-mark-is-text"),
        pytest.param({"a": "😀 \ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16")}, id="emoji"),
        pytest.param({"a": LONG}, id="long"),
        pytest.param({"a": [LONG, {"b": LONG + "="}], "c": "é"}, id="long-twice"),
        pytest.param({"a": f"data:image/png;base64,{LONG}"}, id="data-url"),
        pytest.param({"a": LONG + "\n" + LONG}, id="long-with-line-break"),
        pytest.param({"a": LONG + "\\" + LONG}, id="long-with-backslash"),
        pytest.param({"a": LONG + '"' + LONG}, id="long-with-quote"),
        pytest.param({"a": '[{"' * 2000}, id="brackets-in-text"),
        pytest.param({"a": {"b": [[]] * 1900}}, id="1900-containers"),
        pytest.param({"a": 2**63, "b": -(2**63)}, id="64-bit"),
    ],
)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_values_come_through(value: dict[str, Any], ascii_only: bool) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert parse_json(body) == value
    assert parse_json(body.replace(b"/", b"\\/")) == value


IMAGE_TEXT = "data:image/jpeg;base64," + "AB+/" * (CUT_BYTES // 2) + "AA=="


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(lambda text: text.replace("+", "\\u002B"), id="dotnet"),
        pytest.param(lambda text: text.replace("=", "\\u003d"), id="gson"),
        pytest.param(lambda text: text.replace("/", "\\u002F").replace("+", "\\u002b"), id="both-cases"),
        pytest.param(lambda text: text.replace("/", "\\/"), id="php"),
    ],
)
def test_escapes_in_an_image_of_any_size_mean_what_json_says(written: Any) -> None:
    body = '{"a": ["' + written(IMAGE_TEXT) + '"]}'
    assert parse_json(body.encode()) == json.loads(body) == {"a": [IMAGE_TEXT]}


@pytest.mark.parametrize("around", ['"', "'", " ", "\n"])
def test_a_long_string_may_begin_and_end_with_quotes_or_space(around: str) -> None:
    value = {"a": around + IMAGE_TEXT + around, "b": 'say "hello"'}
    assert parse_json(json.dumps(value).encode()) == value


def test_line_breaks_inside_a_string_are_text() -> None:
    lines = "QUJD\n" * 30_000
    assert parse_json(f'{{"a": "{lines}", "b": "x\ty"}}'.encode()) == {"a": lines, "b": "x\ty"}


def test_a_byte_order_mark_and_integers_of_any_size_do_no_harm() -> None:
    assert parse_json(b'\xef\xbb\xbf{"a":1}') == {"a": 1}
    assert parse_json(b'{"a":' + b"9" * 30 + b"}") == {"a": 10**30 - 1}
    value = parse_json(b'{"a":-' + b"1" * 100_000 + b"}")["a"]
    assert value < -(10**39)


@pytest.mark.parametrize("body", [b"", b" \n"])
def test_an_empty_body_is_called_so(body: bytes) -> None:
    """A curl whose `-d @file` found nothing: there is no column to look at."""
    with pytest.raises(BadRequest, match="body is empty") as caught:
        parse_json(body)
    assert caught.value.code == "invalid_json"


@pytest.mark.parametrize(
    ("body", "where", "why"),
    [
        (b'{"a": 1\n  "b": 2}', "line 2, column 3", "comma"),
        (b'{"a": 1,}', "line 1, column", "comma|key"),
        (b"{'a': 1}", "line 1, column 2", "double quotes"),
        (b'{"a"\n\n1}', "line 3, column 1", "colon"),
        (b'{"a": "\\x"}', "line 1, column", "escape"),
        (b'{"a": 1} more', "line 1, column 10", "follows"),
        ('{"é": é}'.encode(), "line 1, column 7", "value"),
        (b'{"a":"\xff"}', "line 1, column 7", "UTF-8"),
        (f'{{"a": "{IMAGE_TEXT}", "b": x}}'.encode(), f"column {len(IMAGE_TEXT) + 16:,},", "value"),
        (f'{{\n"a": "{LONG}",\n"b": "{LONG}"\n "c": 1}}'.encode(), "line 4, column 2", "comma"),
    ],
)
def test_what_is_no_json_is_told_with_line_and_column(body: bytes, where: str, why: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_json(body)
    assert caught.value.code == "invalid_json"
    assert where in caught.value.message
    assert re.search(why, caught.value.message)


def test_last_duplicate_wins() -> None:
    assert parse_json(b'{"a":1,"a":2}') == {"a": 2}
    assert parse_json(f'{{"a":"{LONG}","a":"{LONG}x"}}'.encode()) == {"a": LONG + "x"}


def test_defaults() -> None:
    limits = http_limits()
    assert (limits.json_depth, limits.json_containers) == (32, 2000)


IMAGE = b'{"image":"data:image/jpeg;base64,' + b"QUJD" * (13 * MIB // 4) + b'","prompt":"hi"}'


@pytest.mark.parametrize(
    ("body", "limit_ms"),
    [
        pytest.param(IMAGE, 100, id="picture"),
        pytest.param(IMAGE.replace(b"hi", "😀".encode()), 100, id="picture-and-emoji"),
        pytest.param(IMAGE.replace(b"Q", b"\\/"), 500, id="picture-escaped"),
        pytest.param(b'{"a":"' + b"\\u0041" * (2 * MIB) + b'"}', 500, id="nothing-but-escapes"),
        pytest.param(
            b'{"a":"A' + b"".join(b"\\u00%02x" % code for code in range(33, 90)) * 40_000 + b'"}',
            500,
            id="escapes-of-many-kinds",
        ),
        pytest.param(b'{"a":' + b"9" * 300_000 + b"}", 50, id="digits"),
        pytest.param(b'{"a":[' + b"1," * 125_000 + b"1]}", 250, id="numbers"),
        pytest.param(b'"' * (13 * MIB), 50, id="quotes"),
        pytest.param(b"\\" * (13 * MIB), 50, id="backslashes"),
        pytest.param(b'{"a":[' + b'"' + b'","'.join([b"A" * CUT_BYTES] * 200) + b'"]}', 100, id="200-long"),
    ],
)
def test_it_is_quick(body: bytes, limit_ms: float) -> None:
    best = float("inf")
    for _ in range(3):
        before = time.process_time()
        with contextlib.suppress(ServiceError):
            parse_json(body)
        best = min(best, time.process_time() - before)
    assert best * 1000 < limit_ms


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.text("abc", max_size=5), inner, max_size=5)
    ),
    max_leaves=20,
)


@settings(deadline=None)
@given(st.dictionaries(st.text("abc"), json_values), st.booleans())
def test_fuzz_valid(value: dict[str, Any], ascii_only: bool) -> None:
    assert parse_json(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@settings(deadline=None, max_examples=300)
@given(
    st.binary()
    | st.text().map(lambda text: json.dumps(text).encode())
    | st.text('{}[]":,\\ud80NaIef019 ').map(str.encode)
)
def test_fuzz_anything(body: bytes) -> None:
    try:
        value: object = parse_json(body)
    except BadRequest as error:
        value = error
    assert isinstance(value, dict | BadRequest)


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from([LONG, '"', "\\", "\\/", ",", ":", "{", "}", "[", "]", "a", "\n", "é"]), max_size=12
    )
)
def test_fuzz_long_strings_mean_what_json_says(parts: list[str]) -> None:
    body = ('{"a":"' + "".join(parts)).encode()
    try:
        wanted = json.loads(body)
    except ValueError:
        wanted = None
    try:
        assert parse_json(body) == wanted
    except ServiceError:
        # A value that JSON allows may be refused for its size only.
        assert wanted is None or len(body) > CUT_BYTES

"""Log lines that nobody can forge."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hailo_common.systemd.record import MAX_TEXT, escaped, line_of, message_of, request_id, traceback_of
from tests.hailo_common.systemd.conftest import failed, record


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ein Foto, 写真 ok", "ein Foto, 写真 ok"),
        ("a\n<0>PWNED", "a\\n<0>PWNED"),
        ("\x1b[2J\r\t\0\x7f", "\\x1b[2J\\r\\t\\x00\\x7f"),
        ("a\u202eb\u2066c\u2028d\x85e", "a\\u202eb\\u2066c\\u2028d\\x85e"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_escaped(text: str, shown: str) -> None:
    assert escaped(text) == shown


@given(st.text())
def test_escaped_is_one_printable_line(text: str) -> None:
    assert escaped(text).isprintable()
    escaped(text).encode()


def test_long_text_is_cut() -> None:
    assert escaped("a" * (MAX_TEXT + 5)).endswith("a… [5 characters more]")


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        (
            {"request_id": "abc123", "endpoint": "/v1/caption", "method": "POST"},
            "request_id=abc123 endpoint=/v1/caption method=POST",
        ),
        (
            {
                "inference_time_ms": 450,
                "load_time_ms": 0,
                "total_ms": 455,
                "model": "m",
                "tokens_generated": 62,
            },
            "inference_time_ms=450 load_time_ms=0 total_ms=455 model=m tokens_generated=62",
        ),
        ({"image_size": "1920x1080", "prompt_tokens": 256}, "image_size=1920x1080 prompt_tokens=256"),
        ({"a": 0.123456789, "b": None, "c": True, "d": ""}, 'a=0.123457 b=- c=true d=""'),
        ({"why": 'said "no" to\nx', "bad name\n": "k=v"}, 'why="said \\"no\\" to\\nx" bad_name_="k=v"'),
    ],
)
def test_lines_of_fields(fields: dict[str, object], line: str) -> None:
    assert line_of(record("", extra=fields)) == line


def test_message_fields_and_request() -> None:
    token = request_id.set("r 1")
    try:
        assert line_of(record("done in %d", 3, tokens=2)) == 'done in 3 request_id="r 1" tokens=2'
        assert line_of(record("done", tokens=2), with_request=False) == "done tokens=2"
        assert line_of(record("done", request_id="own")) == "done request_id=own"
    finally:
        request_id.reset(token)


def test_arguments_that_do_not_fit_still_give_a_message() -> None:
    assert message_of(record("%d of %d\n", 1)) == "%d of %d\\n"


def test_fields_that_are_no_mapping_are_ignored() -> None:
    made = record("x")
    made.fields = ["a"]
    assert line_of(made) == "x"


def test_traceback_keeps_frames_and_flattens_the_exceptions_text() -> None:
    lines = traceback_of(failed("x", ValueError("a\n<0>b\x1b"))).splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1].startswith('  File "')
    assert lines[-1] == "ValueError: a\\n<0>b\\x1b"


def test_traceback_of_chains_and_groups() -> None:
    cause = ValueError("inner\ntext")
    error = RuntimeError("outer\ntext")
    error.__cause__ = cause
    chained = traceback_of(failed("x", error))
    assert "ValueError: inner\\ntext" in chained
    assert "The above exception was the direct cause" in chained
    assert chained.endswith("RuntimeError: outer\\ntext")
    grouped = traceback_of(failed("x", ExceptionGroup("many", [ValueError("a\nFORGED")])))
    assert not any(line.startswith("FORGED") for line in grouped.splitlines())
    assert traceback_of(record("x")) == ""

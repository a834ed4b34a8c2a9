"""JSON: bounded before it is parsed, strict about its structure, tolerant about the form of texts and
numbers.

A byte order mark, line breaks inside strings (`"$(base64 photo.jpg)"` in a shell) and integers of any size
have one plain meaning each; NaN and Infinity have none.

An image makes up nearly all of a large body, so strings of 64 KiB and more are cut out first and put back
after parsing. What is left is small, whatever was sent, and so are the time and memory its parsing takes.
Duplicate keys: the last one wins.
"""

from __future__ import annotations

import json
import math
import re
import secrets
from collections.abc import Iterator
from typing import Any, NoReturn

from hailo_common.errors import BadRequest
from hailo_common.web.limits import HttpLimits

CUT_BYTES = 64 * 1024
_MARK = 32
_BOM = b"\xef\xbb\xbf"
_MAX_DIGITS = 40
"""Longer integers are cut down to as many nines: out of every range, in time that does not grow."""
_BRACKETS = b"[]{}"
_NOT_BRACKETS = bytes(set(range(256)) - set(_BRACKETS))
_SPACES = b" \t\r\n\f\v"
# What a cut string may hold: printable ASCII without quote and backslash, and white space.
_PLAIN = bytes(set(range(0x20, 0x7F)) - set(b'"\\')) + _SPACES
# The escapes that serialisers put into base64 and data: URLs; any other character comes as \u00XX.
_ESCAPES = {b"\\/": b"/", b"\\r": b"\r", b"\\n": b"\n", b"\\t": b"\t", b"\\f": b"\f"}
_UNICODE_ESCAPE = re.compile(rb"\\u00([0-7][0-9A-Fa-f])")
_MAX_ESCAPES = 12
_BEGINS_IMAGE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_'<%\\")
_MARKED = re.compile(r"[0-9a-f]{32}")


def parse_json(body: bytes, *, limits: HttpLimits) -> dict[str, Any]:
    """The object that `body` holds; raises BadRequest with a stable code for everything else."""
    body = body.removeprefix(_BOM)
    if not body or body.isspace():
        raise BadRequest("The body is empty: nothing was sent.", code="invalid_json")
    rest, cut = _cut_long_strings(body)
    if len(rest) > limits.json_text_bytes:
        raise BadRequest(
            f"The JSON has {len(rest):,} bytes beside its images; at most {limits.json_text_bytes:,} fit.",
            code="json_too_large",
        )
    _check_structure(rest, limits)
    value = _loads(rest, body, cut)
    if not isinstance(value, dict):
        raise BadRequest("The body must be a JSON object.", code="invalid_json")
    # Without an escape there can be no lone surrogate, and no NUL that is not seen here.
    _finish(value, cut, check_text=b"\\u" in rest or b"\0" in rest)
    return value


def _cut_long_strings(body: bytes) -> tuple[bytes, dict[str, str]]:
    """Replace long plain strings by placeholders; returns what is left and what each stands for."""
    pieces: list[bytes] = []
    cut: dict[str, str] = {}
    kept = 0
    for start, quote in _gaps(body):
        end = quote - (body[quote - 1 : quote] == b"\\")
        text = _plain_text(body, start, end)
        if text is None:
            continue
        mark = secrets.token_hex(_MARK // 2)
        cut[mark] = text
        pieces += [body[kept:start], mark.encode()]
        kept = end
    pieces.append(body[kept:] if kept else body)
    return b"".join(pieces), cut


def _gaps(body: bytes) -> Iterator[tuple[int, int]]:
    """Every stretch of CUT_BYTES or more between two quotes, found by probing, in linear time."""
    probe = CUT_BYTES // 2
    done = 0
    while probe < len(body):
        start = body.rfind(b'"', done, probe) + 1
        end = body.find(b'"', probe)
        if end < 0:
            return
        if start and end - start >= CUT_BYTES:
            yield start, end
            done = end
        probe = max(probe, end) + CUT_BYTES // 2


def _plain_text(body: bytes, start: int, end: int) -> str | None:
    """The string between two quotes if it may be cut out.

    After a closing quote JSON allows none of the characters an image can start with, so a stretch that
    starts with one is the inside of a string, or the JSON is invalid with and without the cut.
    """
    text = body[start:end]
    head = text[:64].lstrip(_SPACES)
    if not head or head[0] not in _BEGINS_IMAGE or (head[:1] == b"\\" and head[1:2] not in b"/urntf"):
        return None
    odd = text.translate(None, _PLAIN)
    if odd.strip(b"\\"):
        return None
    if odd:
        text = _unescaped(text)
    return None if b"\\" in text else text.decode("ascii")


def _unescaped(text: bytes) -> bytes:
    """Without the escapes that images come with; a few kinds of them, each gone in one pass."""
    for escape, meaning in _ESCAPES.items():
        text = text.replace(escape, meaning)
    for _ in range(_MAX_ESCAPES):
        found = _UNICODE_ESCAPE.search(text)
        if found is None or int(found[1], 16) in b'"\\\0':
            break
        text = text.replace(found[0], bytes((int(found[1], 16),)))
    return text


def _check_structure(rest: bytes, limits: HttpLimits) -> None:
    if rest.count(b"[") + rest.count(b"{") <= min(limits.json_depth, limits.json_containers):
        return
    bare = rest.replace(b"\\\\", b"").replace(b'\\"', b"")
    brackets = b"".join(bare.split(b'"')[::2]).translate(None, _NOT_BRACKETS)
    if brackets.count(b"[") + brackets.count(b"{") > limits.json_containers:
        raise BadRequest(
            f"The JSON has more than {limits.json_containers:,} arrays and objects.", code="json_too_large"
        )
    depth = 0
    for bracket in brackets:
        depth += 1 if bracket in b"[{" else -1
        if depth > limits.json_depth:
            raise BadRequest(f"The JSON is nested more than {limits.json_depth} deep.", code="json_too_deep")


def _loads(rest: bytes, body: bytes, cut: dict[str, str]) -> Any:
    try:
        text = rest.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _invalid(f"{_place(error.start, rest, body, cut)}, what stands there is not UTF-8") from None
    try:
        return _decoder.decode(text)
    except json.JSONDecodeError as error:
        at = len(text[: error.pos].encode())
        why = next((why for begin, why in _WHY.items() if error.msg.startswith(begin)), "it is malformed")
        raise _invalid(f"{_place(at, rest, body, cut)}, {why}") from None
    except RecursionError:
        raise _invalid("it is nested too deeply") from None


_WHY = {
    "Expecting ','": "a comma is expected",
    "Expecting ':'": "a colon is expected",
    "Expecting property name": "a key in double quotes is expected",
    "Expecting value": "a value is expected",
    "Illegal trailing comma": "a comma stands before the end",
    "Unterminated string": "a string begins that does not end",
    "Extra data": "something follows the end of the object",
    "Invalid": "an escape is malformed",
}


def _place(at: int, rest: bytes, body: bytes, cut: dict[str, str]) -> str:
    """Line and column in the body of a byte of what the cuts left of it, both from 1."""
    original, position = 0, 0
    for mark in cut:
        found = rest.find(mark.encode(), position, at)
        if found < 0:
            break
        original += found - position
        # The next quote: what was cut has none.
        original, position = body.find(b'"', original), found + len(mark)
        original -= body[original - 1 : original] == b"\\"
    original += at - position
    line = body.count(b"\n", 0, original) + 1
    column = len(body[body.rfind(b"\n", 0, original) + 1 : original].decode("utf-8", "replace")) + 1
    return f"line {line:,}, column {column:,}"


def _invalid(why: str) -> BadRequest:
    return BadRequest(f"The body is not valid JSON: {why}.", code="invalid_json")


def _constant(_name: str) -> NoReturn:
    raise _invalid("NaN and Infinity are no JSON numbers")


def _integer(text: str) -> int:
    if len(text) <= _MAX_DIGITS:
        return int(text)
    return int("-" * text.startswith("-") + "9" * _MAX_DIGITS)


_decoder = json.JSONDecoder(parse_constant=_constant, parse_int=_integer, strict=False)


def _finish(root: dict[str, Any], cut: dict[str, str], *, check_text: bool) -> None:
    """Put cut strings back, in place, and refuse strings and numbers that the services cannot use."""
    waiting: list[Any] = [root]
    while waiting:
        container = waiting.pop()
        for key, value in container.items() if isinstance(container, dict) else enumerate(container):
            if isinstance(key, str):
                _check_key(key, cut, check_text=check_text)
            if isinstance(value, str):
                if cut and (found := _MARKED.search(value)) and found[0] in cut:
                    container[key] = _restored(value, cut)
                elif check_text:
                    _check_text(value)
            elif isinstance(value, dict | list):
                waiting.append(value)
            elif isinstance(value, float) and not math.isfinite(value):
                # `1e400` parses as infinity.
                raise _invalid("a number is larger than any that can be represented")


def _restored(value: str, cut: dict[str, str]) -> str:
    """A string with its marks replaced; nearly always it is one mark and nothing else."""
    return cut[value] if value in cut else _MARKED.sub(lambda found: cut.get(found[0], found[0]), value)


def _check_key(key: str, cut: dict[str, str], *, check_text: bool) -> None:
    if cut and (found := _MARKED.search(key)) and found[0] in cut:
        raise BadRequest("The JSON has a key that is too long.", code="json_too_large")
    if check_text:
        _check_text(key)


def _check_text(text: str) -> None:
    if "\0" in text:
        raise BadRequest("A string contains a NUL character.", code="invalid_text")
    if text.isascii():
        return
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise BadRequest("A string is not valid Unicode.", code="invalid_text") from None

"""Strict JSON: bounded before it is parsed, and without what JSON does not allow.

An image makes up nearly all of a large body, so strings of 64 KiB and more are cut out first and put back
after parsing. What is left is small, whatever was sent, and so are the time and memory its parsing takes.
Duplicate keys: the last one wins.
"""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import Iterator
from typing import Any, NoReturn

from hailo_common.errors import BadRequest
from hailo_common.web.limits import HttpLimits

CUT_BYTES = 64 * 1024
_INT_BITS = 64
_BRACKETS = b"[]{}"
_NOT_BRACKETS = bytes(set(range(256)) - set(_BRACKETS))
# What a cut string may hold: printable ASCII without quote and backslash.
_PLAIN = bytes(set(range(0x20, 0x7F)) - set(b'"\\'))
# The escapes that serialisers put into base64.
_ESCAPES = ((b"\\/", b"/"), (b"\\r", b"\r"), (b"\\n", b"\n"))
_ALNUM = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")


def parse_json(body: bytes, *, limits: HttpLimits) -> dict[str, Any]:
    """The object that `body` holds; raises BadRequest with a stable code for everything else."""
    rest, cut = _cut_long_strings(body)
    if len(rest) > limits.json_text_bytes:
        raise BadRequest("The JSON contains more than an image and short strings.", code="json_too_large")
    _check_structure(rest, limits)
    value = _loads(rest)
    if not isinstance(value, dict):
        raise BadRequest("The body must be a JSON object.", code="invalid_json")
    # Without an escape there can be no lone surrogate and no NUL.
    _finish(value, cut, check_text=b"\\u" in rest)
    return value


def _invalid() -> BadRequest:
    return BadRequest("The body is not valid JSON.", code="invalid_json")


def _cut_long_strings(body: bytes) -> tuple[bytes, dict[str, str]]:
    """Replace long plain strings by placeholders; returns what is left and what each stands for."""
    pieces: list[bytes] = []
    cut: dict[str, str] = {}
    kept = 0
    for start, end in _gaps(body):
        text = _plain_text(body, start, end)
        if text is None:
            continue
        mark = secrets.token_hex(16)
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
    if body[start] not in _ALNUM or body[start - 2 : start - 1] == b"\\":
        return None
    text = body[start:end]
    odd = text.translate(None, _PLAIN)
    if odd.strip(b"\\"):
        return None
    for escape, meaning in _ESCAPES if odd else ():
        text = text.replace(escape, meaning)
    return None if b"\\" in text else text.decode("ascii")


def _check_structure(rest: bytes, limits: HttpLimits) -> None:
    if rest.count(b"[") + rest.count(b"{") <= min(limits.json_depth, limits.json_containers):
        return
    bare = rest.replace(b"\\\\", b"").replace(b'\\"', b"")
    brackets = b"".join(bare.split(b'"')[::2]).translate(None, _NOT_BRACKETS)
    if brackets.count(b"[") + brackets.count(b"{") > limits.json_containers:
        raise BadRequest("The JSON has too many arrays and objects.", code="json_too_large")
    depth = 0
    for bracket in brackets:
        depth += 1 if bracket in b"[{" else -1
        if depth > limits.json_depth:
            raise BadRequest("The JSON is nested too deeply.", code="json_too_deep")


def _loads(rest: bytes) -> Any:
    try:
        return _decoder.decode(rest.decode("utf-8"))
    except (ValueError, RecursionError):
        raise _invalid() from None


def _constant(_name: str) -> NoReturn:
    raise _invalid()


_decoder = json.JSONDecoder(parse_constant=_constant)


def _finish(root: dict[str, Any], cut: dict[str, str], *, check_text: bool) -> None:
    """Put cut strings back, in place, and refuse strings and numbers that the services cannot use."""
    waiting: list[Any] = [root]
    while waiting:
        container = waiting.pop()
        for key, value in container.items() if isinstance(container, dict) else enumerate(container):
            if isinstance(key, str):
                _check_key(key, cut, check_text=check_text)
            if isinstance(value, str):
                if value in cut:
                    container[key] = cut[value]
                elif check_text:
                    _check_text(value)
            elif isinstance(value, dict | list):
                waiting.append(value)
            elif value is not None:
                _check_number(value)


def _check_number(value: float) -> None:
    # `1e400` parses as infinity; an integer of hundreds of digits overflows where floats are expected.
    if not (math.isfinite(value) if isinstance(value, float) else value.bit_length() <= _INT_BITS):
        raise _invalid()


def _check_key(key: str, cut: dict[str, str], *, check_text: bool) -> None:
    if key in cut:
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

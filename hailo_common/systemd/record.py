"""A log record as safe text: one line of message and fields, and a traceback.

Nothing that came from a client can start a new line, move a cursor or reverse the reading direction.
"""

from __future__ import annotations

import json
import logging
import re
import traceback
from collections.abc import Mapping
from contextvars import ContextVar
from functools import lru_cache

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The id of the request this task works on; empty outside a request."""

MAX_TEXT = 64 * 1024
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_FRAME = re.compile(r"[ |+]*(File \"|Traceback |Exception Group Traceback |-+ |-+$)")
_ACCESS = frozenset(("evt", "method", "endpoint", "path", "status", "code", "duration_ms"))
_ID = 8
"""Characters of a request's id that tell it from its neighbours."""
_BARE = re.compile(r'[^\s"=]+')


def escaped(text: str) -> str:
    """`text` with newlines, control, bidi and other invisible characters as escapes."""
    if len(text) > MAX_TEXT:
        text = f"{text[:MAX_TEXT]}… [{len(text) - MAX_TEXT} characters more]"
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def message_of(record: logging.LogRecord) -> str:
    """The message alone; a record whose arguments do not fit its format still gives one."""
    try:
        return escaped(record.getMessage())
    except Exception:
        return escaped(str(record.msg))


def fields_of(record: logging.LogRecord) -> Mapping[str, object]:
    """What the caller gave as `extra={"fields": {...}}`."""
    fields = getattr(record, "fields", None)
    return fields if isinstance(fields, Mapping) else {}


def request_of(record: logging.LogRecord) -> str:
    """The request that the record belongs to, or ""."""
    return str(fields_of(record).get("request_id") or request_id.get())


def line_of(record: logging.LogRecord, *, with_request: bool = True) -> str:
    """Message and `key=value` fields on one line, the request id first."""
    fields = {name: value for name, value in fields_of(record).items() if name != "request_id"}
    request = request_of(record) if with_request else ""
    shown = {"request_id": request, **fields} if request else fields
    pairs = [f"{field_name(name).lower()}={_value(value)}" for name, value in shown.items()]
    return " ".join([part for part in [message_of(record)] if part] + pairs)


def person_line(record: logging.LogRecord) -> str:
    """As `line_of`, for a person: what was asked and answered first, then the rest, the request last."""
    fields = {field_name(name).lower(): value for name, value in fields_of(record).items()}
    parts = [message_of(record)]
    if fields.get("evt") in ("request", "refused"):
        where, status = fields.get("path") or fields.get("endpoint"), fields.get("status")
        parts = [f"{escaped(str(fields.get('method')))} {escaped(str(where))} {status}"]
        parts += [escaped(str(fields["code"]))] if "code" in fields else []
        parts += [f"{fields['duration_ms']} ms"] if "duration_ms" in fields else []
        fields = {name: value for name, value in fields.items() if name not in _ACCESS}
    parts += [f"{name}={_value(value)}" for name, value in fields.items() if name != "request_id"]
    request = request_of(record)
    return " ".join([part for part in parts if part] + ([f"[{escaped(request[:_ID])}]"] if request else []))


def field_name(name: object) -> str:
    """A field's name with nothing but letters, digits and underscores."""
    return _harmless(str(name))


@lru_cache(maxsize=256)
def _harmless(name: str) -> str:
    # Every line of the log has a score of names, always the same ones.
    return re.sub(r"[^A-Za-z0-9_]", "_", name)[:60]


def traceback_of(record: logging.LogRecord) -> str:
    """The traceback or stack, frames on their own lines, each exception's text on one; "" without."""
    parts: list[str] = []
    if record.exc_info and record.exc_info[1] is not None:
        shown = traceback.TracebackException.from_exception(record.exc_info[1])
        parts = [_safe_part(part) for part in shown.format()]
    if record.stack_info:
        parts.append(record.stack_info)
    return "\n".join(parts)[:MAX_TEXT]


def _safe_part(part: str) -> str:
    lines = part.rstrip("\n").split("\n")
    if _FRAME.match(lines[0]) or part.startswith("\n"):
        return "\n".join(map(escaped, lines))
    # An exception's own text, which may quote a client.
    return escaped("\n".join(lines))


def _escape(char: str) -> str:
    code = ord(char)
    if code > 0xFFFF:
        return f"\\U{code:08x}"
    return _SHORT.get(char) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


def _value(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    text = f"{value:.6g}" if isinstance(value, float) else escaped(str(value))
    return text if _BARE.fullmatch(text) else json.dumps(text, ensure_ascii=False).replace("\\\\", "\\")

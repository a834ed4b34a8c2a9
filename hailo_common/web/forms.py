"""Multipart forms: one file and a few short fields, parsed while they arrive and never written to disk."""

from __future__ import annotations

import asyncio
import io
import re
from dataclasses import dataclass, field
from typing import NoReturn

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser
from starlette.requests import Request

from hailo_common.errors import BadRequest, TooLarge
from hailo_common.web.body import stream_body
from hailo_common.web.limits import HttpLimits
from hailo_common.web.media import FORM, form_boundary, require_media
from hailo_common.web.state import server_state_of

_FEED_BYTES = 64 * 1024
_OPTION_TEXT = rb';\s*([a-z*]+)=("(?:[^"\\]|\\.)*"|[^";\s]*)\s*'
_OPTION = re.compile(_OPTION_TEXT, re.IGNORECASE)
_DISPOSITION = re.compile(rb"\s*form-data\s*((?:%b)*)" % _OPTION_TEXT, re.IGNORECASE)
_NAME = re.compile(rb"[A-Za-z0-9_.-]{1,64}")


@dataclass
class Form:
    """What a form held: texts by field name, file contents by field name; file names are not kept."""

    fields: dict[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)


async def read_form(request: Request, *, limit: int) -> Form:
    """The multipart form in the body, at most `limit` bytes; it counts as `read_body` does."""
    require_media(request, FORM)
    reader = _FormReader(form_boundary(request), server_state_of(request).settings)
    try:
        async for chunk in stream_body(request, limit=limit):
            # The parser steps through hostile input byte by byte, so the loop gets a turn in between.
            for at in range(0, len(chunk), _FEED_BYTES):
                reader.feed(chunk[at : at + _FEED_BYTES])
                await asyncio.sleep(0)
        return reader.finish()
    finally:
        reader.close()


def _disposition(header: bytes) -> dict[bytes, bytes]:
    match = _DISPOSITION.fullmatch(header)
    return {name.lower(): value for name, value in _OPTION.findall(match[1])} if match else {}


class _Part:
    def __init__(self) -> None:
        self.header_name = b""
        self.header_value = b""
        self.head_bytes = 0
        self.disposition = b""
        self.name = ""
        self.is_file = False
        self.data = io.BytesIO()


class _FormReader:
    """Collects the parts that python_multipart finds."""

    def __init__(self, boundary: bytes, limits: HttpLimits) -> None:
        self._limits = limits
        self._form = Form()
        self._part = _Part()
        self._parts = 0
        self._complete = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._part_begin,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._head_end,
                "on_part_data": self._part_data,
                "on_part_end": self._part_end,
                "on_end": self._end,
            },
        )

    def feed(self, data: bytes) -> None:
        """Parse some more of the body."""
        if self._complete:
            return
        try:
            self._parser.write(data)
        except FormParserError:
            self._refuse()

    def finish(self) -> Form:
        """The form, once all of it was fed."""
        if not self._complete:
            self._refuse("The form is incomplete.")
        return self._form

    def close(self) -> None:
        """Let go of the contents now: the parser and its callbacks refer to each other."""
        self._parser.callbacks = {}
        self._form = Form()
        self._part = _Part()

    def _refuse(self, message: str = "The form is malformed.") -> NoReturn:
        raise BadRequest(message, code="invalid_form") from None

    def _part_begin(self) -> None:
        self._part = _Part()
        self._parts += 1
        if self._parts > self._limits.form_files + self._limits.form_fields:
            raise BadRequest("The form has too many parts.", code="form_too_many_parts")

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._count_head(end - start)
        self._part.header_name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._count_head(end - start)
        self._part.header_value += data[start:end]

    def _count_head(self, amount: int) -> None:
        self._part.head_bytes += amount + 1
        if self._part.head_bytes > self._limits.form_head_bytes:
            self._refuse("A part of the form has too large a head.")

    def _header_end(self) -> None:
        part = self._part
        if part.header_name.lower() == b"content-disposition":
            part.disposition = part.header_value
        part.header_name = part.header_value = b""

    def _head_end(self) -> None:
        options = _disposition(self._part.disposition)
        name = options.get(b"name", b"").strip(b'"')
        if not _NAME.fullmatch(name):
            self._refuse()
        self._part.name = name.decode("ascii")
        self._part.is_file = b"filename" in options or b"filename*" in options
        known = self._form.files if self._part.is_file else self._form.fields
        allowed = self._limits.form_files if self._part.is_file else self._limits.form_fields
        if len(known) >= allowed:
            raise BadRequest("The form has too many files or fields.", code="form_too_many_parts")

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        part = self._part
        if not part.is_file and part.data.tell() + end - start > self._limits.form_part_bytes:
            raise TooLarge("A field of the form is too large.", code="form_part_too_large")
        part.data.write(memoryview(data)[start:end])

    def _part_end(self) -> None:
        part = self._part
        if part.name in self._form.fields or part.name in self._form.files:
            raise BadRequest("The form has a field twice.", code="invalid_form")
        if part.is_file:
            self._form.files[part.name] = part.data.getvalue()
            return
        try:
            text = part.data.getvalue().decode("utf-8")
        except UnicodeDecodeError:
            raise BadRequest("A text is not valid UTF-8.", code="invalid_text") from None
        if "\0" in text:
            raise BadRequest("A text holds a NUL character.", code="invalid_text")
        self._form.fields[part.name] = text

    def _end(self) -> None:
        self._complete = True

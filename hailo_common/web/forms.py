"""Multipart forms: one file and a few short fields, parsed while they arrive and never written to disk."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import NoReturn

from python_multipart.exceptions import FormParserError
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
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
    """What a form held: strings by field name, file contents by field name; file names are not kept."""

    fields: dict[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)


async def read_form(request: Request, *, limit: int) -> Form:
    """The multipart form in the body, at most `limit` bytes; it counts as `read_body` does.

    Raises BadRequest, TooLarge or UnsupportedMedia, and what `read_body` raises.
    """
    require_media(request, FORM)
    async with aclosing(stream_body(request, limit=limit)) as body:
        parser = _FormParser(form_boundary(request), body, server_state_of(request).limits)
        return await _contents(await parser.read())


async def _contents(parsed: FormData) -> Form:
    form = Form()
    for name, value in parsed.multi_items():
        if isinstance(value, UploadFile):
            form.files[name] = await value.read()
            await value.close()
        else:
            form.fields[name] = value
    return form


class _FormParser(MultiPartParser):
    """starlette's parser with what it lacks: bounded part heads, strict names and UTF-8, a required end."""

    # Files stay in memory; the limit and the budget of the body bound them.
    spool_max_size = sys.maxsize

    def __init__(self, boundary: str, body: AsyncGenerator[bytes, None], limits: HttpLimits) -> None:
        super().__init__(
            Headers({"content-type": f'{FORM}; boundary="{boundary}"'}),
            self._pieces(body),
            max_files=limits.form_files,
            max_fields=limits.form_fields,
            max_part_size=limits.form_part_bytes,
        )
        self._max_head_bytes = limits.form_head_bytes
        self._head_bytes = 0
        self._complete = False

    async def read(self) -> FormData:
        """The form, once all of it has arrived."""
        try:
            form = await self.parse()
        except (MultiPartException, FormParserError):
            _refuse()
        if not self._complete:
            _refuse("The form is incomplete.")
        return form

    async def _pieces(self, body: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        async for chunk in body:
            # The parser steps through hostile input byte by byte, so the loop gets a turn in between.
            for at in range(0, len(chunk), _FEED_BYTES):
                if not self._complete:
                    yield chunk[at : at + _FEED_BYTES]
                await asyncio.sleep(0)

    def on_part_begin(self) -> None:
        self._head_bytes = 0
        super().on_part_begin()
        if len(self.items) >= self.max_files + self.max_fields:
            raise BadRequest("The form has too many parts.", code="form_too_many_parts")

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._count_head(end - start)
        super().on_header_field(data, start, end)

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._count_head(end - start)
        super().on_header_value(data, start, end)

    def _count_head(self, amount: int) -> None:
        self._head_bytes += amount + 1
        if self._head_bytes > self._max_head_bytes:
            _refuse("A part of the form has too large a head.")

    def on_headers_finished(self) -> None:
        # In one way of writing: versions of python-multipart disagree about `filename*` and odd line ends.
        self._current_part.content_disposition = _plain_disposition(self._current_part.content_disposition)
        try:
            super().on_headers_finished()
        except MultiPartException:
            raise BadRequest("The form has too many files or fields.", code="form_too_many_parts") from None

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        try:
            super().on_part_data(data, start, end)
        except MultiPartException:
            raise TooLarge("A field of the form is too large.", code="form_part_too_large") from None

    def on_part_end(self) -> None:
        if any(self._current_part.field_name == name for name, _ in self.items):
            _refuse("The form has a field twice.")
        # starlette reads what is not UTF-8 as Latin-1.
        _check_text(self._current_part.data)
        super().on_part_end()

    def on_end(self) -> None:
        self._complete = True


def _plain_disposition(header: bytes | None) -> bytes:
    match = _DISPOSITION.fullmatch(header or b"")
    options = {name.lower(): value for name, value in _OPTION.findall(match[1])} if match else {}
    name = options.get(b"name", b"").strip(b'"')
    if not _NAME.fullmatch(name):
        _refuse()
    is_file = b"filename" in options or b"filename*" in options
    return b'form-data; name="%b"%b' % (name, b'; filename="file"' if is_file else b"")


def _check_text(data: bytearray) -> None:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise BadRequest("A string is not valid UTF-8.", code="invalid_text") from None
    if "\0" in text:
        raise BadRequest("A string contains a NUL character.", code="invalid_text")


def _refuse(message: str = "The form is malformed.") -> NoReturn:
    raise BadRequest(message, code="invalid_form") from None

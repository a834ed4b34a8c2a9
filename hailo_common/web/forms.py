"""Multipart forms: some files and a few short fields, parsed while they arrive and never written to disk.

`name[]` is `name`; an empty field is one that is not there; a part that says it is an image, or has an
image's name, is a file with and without a file name.
"""

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
_EMPTY_FILES = 2
_OPTION_TEXT = rb';\s*([a-z*]+)=("(?:[^"\\]|\\.)*"|[^";\s]*)\s*'
_OPTION = re.compile(_OPTION_TEXT, re.IGNORECASE)
_DISPOSITION = re.compile(rb"\s*form-data\s*((?:%b)*)" % _OPTION_TEXT, re.IGNORECASE)
_NAME = re.compile(rb"([A-Za-z0-9_.-]{1,64})(?:\[[0-9]{0,4}\])?")
_FILE_NAMES = frozenset((b"image", b"file", b"images", b"files", b"picture", b"photo", b"upload"))
_FILE_TYPES = (b"image/", b"application/octet-stream")


@dataclass
class Form:
    """What a form held: strings by field name, files with their field's name; file names are not kept."""

    fields: dict[str, str] = field(default_factory=dict)
    files: list[tuple[str, bytes]] = field(default_factory=list)


async def read_form(request: Request, *, limit: int) -> Form:
    """The multipart form in the body, at most `limit` bytes; it counts as `read_body` does.

    Raises BadRequest, TooLarge or UnsupportedMedia, and what `read_body` raises.
    """
    require_media(request, FORM)
    async with aclosing(stream_body(request, limit=limit)) as body:
        parser = _FormParser(form_boundary(request), body, server_state_of(request).limits)
        form = await _contents(await parser.read())
        if len(form.files) > parser.most_files:
            raise _too_many(parser.most_files, server_state_of(request).limits.form_fields)
        return form


async def _contents(parsed: FormData) -> Form:
    form = Form()
    for name, value in parsed.multi_items():
        if isinstance(value, UploadFile):
            data = await value.read()
            await value.close()
            if data:
                form.files.append((name, data))
        elif value:
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
            # A page sends a part for each file that was not chosen, too.
            max_files=limits.form_files + _EMPTY_FILES,
            max_fields=limits.form_fields,
            max_part_size=limits.form_part_bytes,
        )
        self.most_files = limits.form_files
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
            raise _too_many(self.most_files, int(self.max_fields))

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
        part = self._current_part
        kind = next((value for name, value in part.item_headers if name.lower() == b"content-type"), b"")
        part.content_disposition = _plain_disposition(part.content_disposition, kind)
        try:
            super().on_headers_finished()
        except MultiPartException:
            raise _too_many(self.most_files, int(self.max_fields)) from None

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        try:
            super().on_part_data(data, start, end)
        except MultiPartException:
            raise TooLarge(
                f"A field of the form has more than {self.max_part_size:,} bytes.", code="form_part_too_large"
            ) from None

    def on_part_end(self) -> None:
        part = self._current_part
        if (
            not part.file
            and part.data
            and any(part.field_name == name and value for name, value in self.items)
        ):
            _refuse("The form has a field twice.")
        # starlette reads what is not UTF-8 as Latin-1.
        _check_text(self._current_part.data)
        super().on_part_end()

    def on_end(self) -> None:
        self._complete = True


def _too_many(files: int, fields: int) -> BadRequest:
    return BadRequest(
        f"The form has more than {files} {'file' if files == 1 else 'files'} or {fields} fields.",
        code="form_too_many_parts",
    )


def _plain_disposition(header: bytes | None, content_type: bytes) -> bytes:
    match = _DISPOSITION.fullmatch(header or b"")
    options = {name.lower(): value for name, value in _OPTION.findall(match[1])} if match else {}
    name = _NAME.fullmatch(options.get(b"name", b"").strip(b'"'))
    if name is None:
        _refuse()
    is_file = b"filename" in options or b"filename*" in options
    is_file = is_file or name[1].lower() in _FILE_NAMES or content_type.lower().startswith(_FILE_TYPES)
    return b'form-data; name="%b"%b' % (name[1], b'; filename="file"' if is_file else b"")


def _check_text(data: bytearray) -> None:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise BadRequest("A string is not valid UTF-8.", code="invalid_text") from None
    if "\0" in text:
        raise BadRequest("A string contains a NUL character.", code="invalid_text")


def _refuse(message: str = "The form is malformed.") -> NoReturn:
    raise BadRequest(message, code="invalid_form") from None

"""Images as text: every form with one plain meaning is read, every other is refused with its true cause."""

from __future__ import annotations

import base64
import contextlib
import random
import textwrap
import time
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hailo_common.errors import BadRequest, ServiceError
from hailo_common.images.image_text import read_image_file, read_image_text

HEAD = "data:image/png;base64,"
BLOCK = 1 << 20


def refusal(text: str, *, limit: int = 10_000_000) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        read_image_text(text, limit_bytes=limit)
    return caught.value


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


FORMS: dict[str, Callable[[bytes], str]] = {
    "bare": encoded,
    "data URL": lambda data: HEAD + encoded(data),
    "upper case": lambda data: "DATA:IMAGE/JPEG;BASE64," + encoded(data),
    "no type": lambda data: "data:;base64," + encoded(data),
    "a type that is wrong": lambda data: "data:image/heic;base64," + encoded(data),
    "a type of no image": lambda data: "data:application/octet-stream;base64," + encoded(data),
    "parameters": lambda data: "data:image/png;name=a.png;charset=utf-8;base64, " + encoded(data),
    "no base64 mark": lambda data: "data:image/png," + encoded(data),
    "no data:": lambda data: "image/png;base64," + encoded(data),
    "no type and no data:": lambda data: "base64," + encoded(data),
    "B10-no padding": lambda data: encoded(data).rstrip("="),
    "B10-more padding": lambda data: encoded(data).rstrip("=") + "====",
    "B10-url-safe": lambda data: base64.urlsafe_b64encode(data).decode(),
    "B10-url-safe without padding": lambda data: base64.urlsafe_b64encode(data).decode().rstrip("="),
    "B10-lines": lambda data: HEAD + "\n".join(textwrap.wrap(encoded(data), 76)),
    "B10-lines of MIME": lambda data: "\r\n".join(textwrap.wrap(encoded(data), 64)) + "\r\n",
    "B10-spaces": lambda data: " \t".join(textwrap.wrap(encoded(data), 1001)),
    "B10-wide spaces": lambda data: "\u00a0\u200b\u3000".join(textwrap.wrap(encoded(data), 999)),
    "B10-line breaks as escapes": lambda data: "\\n".join(textwrap.wrap(encoded(data), 77)),
    "slashes escaped twice": lambda data: encoded(data).replace("/", "\\/"),
    "percent": lambda data: quote(encoded(data), safe=""),
    "percent after the head": lambda data: HEAD + quote(encoded(data)),
    "percent lines": lambda data: quote("\n".join(textwrap.wrap(encoded(data), 76))),
    "percent bytes": lambda data: "data:image/png," + quote(data, safe=""),
    "quotes": lambda data: f'"{encoded(data)}"',
    "Python's bytes": lambda data: f"b'{encoded(data)}'",
    "byte order mark": lambda data: "\ufeff" + encoded(data),
    "angle brackets": lambda data: f"<{HEAD}{encoded(data)}>",
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [5, 100, 8192, 1_000_003])
def test_every_form_means_the_same_bytes(form: str, size: int) -> None:
    data = b"\x89PNG" + random.Random(size).randbytes(size)
    assert read_image_text(FORMS[form](data), limit_bytes=2_000_000) == data


@pytest.mark.parametrize("at", range(BLOCK - 8, BLOCK + 8))
@pytest.mark.parametrize("what", ["%2B", "-", "\\n", "\n", " "])
def test_what_a_block_ends_in_the_middle_of(at: int, what: str) -> None:
    text = encoded(random.Random(at).randbytes(1_200_000))
    meant = text[:at] + "+" + text[at + 1 :]
    rest = text[at + 1 :] if what in ("%2B", "-") else "+" + text[at + 1 :]
    assert read_image_text(text[:at] + what + rest, limit_bytes=10**7) == base64.b64decode(meant)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 1000, 786_432, 786_433, 3_000_000])
def test_sizes_up_to_the_limit(size: int) -> None:
    data = (bytes(range(256)) * (size // 256 + 1))[:size]
    for form in ("bare", "data URL", "B10-lines", "percent", "percent bytes"):
        text = FORMS[form](data)
        assert read_image_text(text, limit_bytes=size) == data
        if size > 1:
            error = refusal(text, limit=size - 1)
            assert (error.code, f"{size - 1:,} bytes" in error.message) == ("image_too_large", True)
            assert "max_image_bytes" in error.message


@pytest.mark.parametrize(
    ("text", "code", "cause"),
    [
        pytest.param("", "image_empty", "empty", id="nothing"),
        pytest.param(" \n ", "image_empty", "empty", id="space"),
        pytest.param(HEAD, "image_empty", "empty", id="B10-empty"),
        pytest.param(HEAD + "====", "image_empty", "empty", id="B10-nothing-but-padding"),
        pytest.param("data:image/png;base64", "invalid_base64", "no comma", id="no-comma"),
        pytest.param("http://127.0.0.1/a.png", "unsupported_image_url", "fetches nothing", id="http"),
        pytest.param("HTTPS://example.org/a", "unsupported_image_url", "fetches nothing", id="https"),
        pytest.param("file:///etc/passwd", "unsupported_image_url", "fetches nothing", id="file"),
        pytest.param("blob:x", "unsupported_image_url", "fetches nothing", id="blob"),
        pytest.param("/etc/passwd", "unsupported_image_url", "name of a file", id="path"),
        pytest.param("./a", "unsupported_image_url", "name of a file", id="relative-path"),
        pytest.param("C:\\a\\b", "unsupported_image_url", "name of a file", id="drive"),
        pytest.param("\\\\host\\share", "unsupported_image_url", "name of a file", id="share"),
        pytest.param("holiday (1).JPG", "unsupported_image_url", "name of a file", id="file-name"),
        pytest.param(HEAD + "QUJDQ", "invalid_base64", "cut short", id="B10-one-character-over"),
        pytest.param(HEAD + "QU==QUJD", "invalid_base64", "= at character 25", id="B10-padding-inside"),
        pytest.param("QU=D", "invalid_base64", "= at character 3", id="B10-padding-before-the-end"),
        pytest.param("QUJ\u00e9", "invalid_base64", "character 4", id="B10-not-ascii"),
        pytest.param("QUJ\0", "invalid_base64", "character 4", id="B10-nul"),
        pytest.param("QUJ😀", "invalid_base64", "character 4", id="B10-emoji"),
        pytest.param("QUJD%zz", "invalid_base64", "character 5", id="bad-percent"),
        pytest.param("QUJD%2", "invalid_base64", "character 5", id="cut-percent"),
        pytest.param(HEAD + "QUJD,QUJD", "invalid_base64", "character 27", id="B11-comma-joined"),
        pytest.param(HEAD + "QUJD," + HEAD + "QUJD", "invalid_base64", "character 27", id="B11-two-urls"),
        pytest.param("QUJD" * BLOCK + "!", "invalid_base64", "character 4,194,305", id="far-away"),
    ],
)
def test_a_refusal_says_its_true_cause(text: str, code: str, cause: str) -> None:
    error = refusal(text)
    assert (error.code, cause in error.message) == (code, True), error.message


@pytest.mark.parametrize(
    "text",
    [
        *("%41" * 4_600_000, "%" * 14_000_000, "\\n" * 7_000_000, "=" * 14_000_000, " " * 14_000_000),
        *("A=" * 7_000_000, "\u00a0" * 14_000_000, "%3D" * 4_600_000, "A" * 14_000_000, "é" * 7_000_000),
        *("data:image/png," + "%41" * 4_600_000, "'" * 14_000_000, "A\n" * 7_000_000, "A%" * 7_000_000),
    ],
    ids=lambda text: repr(text[:18]),
)
def test_no_text_takes_long(text: str) -> None:
    best = 9.0
    for _ in range(2):
        began = time.process_time()
        with contextlib.suppress(BadRequest):
            read_image_text(text, limit_bytes=10_000_000)
        best = min(best, time.process_time() - began)
    assert best < 0.5


@settings(deadline=None)
@given(st.text() | st.text("QUJD=,+/-_ \n%2B\\n").map(HEAD.__add__) | st.text("QUJD=+/-_ \n%2B\\n'\""))
def test_fuzz(text: str) -> None:
    try:
        decoded = read_image_text(text, limit_bytes=100)
    except BadRequest:
        return
    assert 0 < len(decoded) <= 100


@given(st.binary(min_size=1, max_size=200), st.sampled_from(sorted(FORMS)))
def test_fuzz_forms(data: bytes, form: str) -> None:
    data = b"\x89PNG" + data
    assert read_image_text(FORMS[form](data), limit_bytes=1000) == data


def test_a_file_may_hold_text_and_files_of_images_are_never_taken_for_it() -> None:
    data = b"\xff\xd8\xff" + bytes(range(256))
    for form in ("bare", "data URL", "B10-lines", "quotes"):
        assert read_image_file(FORMS[form](data).encode(), limit_bytes=1000) == data
    for head in (b"\xff\xd8\xff", b"GIF89a\1\0", b"BM\x46\0", b"II*\0", b"RIFF\0\0\0\0WEBP"):
        assert read_image_file(head + b"A" * 80, limit_bytes=1000) == head + b"A" * 80
    with pytest.raises(BadRequest):
        read_image_file(b"\xff" * 101, limit_bytes=100)

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hailo_common.errors import ServiceError
from hailo_common.web.media import decode_data_uri

HEAD = "data:image/png;base64,"


def refusal(text: str, *, limit: int = 1000, bare: bool = False) -> str:
    with pytest.raises(ServiceError) as caught:
        decode_data_uri(text, limit_bytes=limit, bare=bare)
    return caught.value.code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        pytest.param(HEAD + "QU JD", "invalid_base64", id="B10-space"),
        pytest.param(HEAD + "QUJD\nQUJD", "invalid_base64", id="B10-line-break"),
        pytest.param(HEAD + "QUJDQUJD\r\n  ", "invalid_base64", id="B10-trailing-whitespace"),
        pytest.param(HEAD + "QU-_", "invalid_base64", id="B10-url-safe-alphabet"),
        pytest.param(HEAD + "QUI", "invalid_base64", id="B10-missing-padding"),
        pytest.param(HEAD + "QUJD====", "invalid_base64", id="B10-padding-only-group"),
        pytest.param(HEAD + "QU==QUJD", "invalid_base64", id="B10-padding-inside"),
        pytest.param(HEAD + "====", "invalid_base64", id="B10-nothing-but-padding"),
        pytest.param(HEAD + "QU=D", "invalid_base64", id="B10-padding-before-the-end"),
        pytest.param(HEAD + "QUJ\u00e9", "invalid_base64", id="B10-not-ascii"),
        pytest.param(HEAD + "QUJ\0", "invalid_base64", id="B10-nul"),
        pytest.param(HEAD, "invalid_base64", id="B10-empty"),
        pytest.param("", "invalid_base64", id="B10-nothing"),
        pytest.param("data:image/png,QUJD", "invalid_base64", id="B10-no-base64-mark"),
        pytest.param("data:image/png;charset=utf-8;base64,QUJD", "invalid_base64", id="B10-parameter"),
        pytest.param("data:;base64,QUJD", "invalid_base64", id="B10-no-type"),
        pytest.param("data:image/gif;base64,QUJD", "unsupported_image_format", id="C6-gif"),
        pytest.param("data:image/svg+xml;base64,QUJD", "unsupported_image_format", id="svg"),
        pytest.param(HEAD + "QUJD,QUJD", "invalid_base64", id="B11-comma-joined"),
        pytest.param(HEAD + "QUJD," + HEAD + "QUJD", "invalid_base64", id="B11-two-urls"),
        pytest.param("QUJD", "invalid_base64", id="bare-where-not-allowed"),
        pytest.param("https://example.org/a.png", "invalid_base64", id="http-url"),
        pytest.param(HEAD + "QUJD" * 400, "image_too_large", id="B10-too-large"),
    ],
)
def test_refusals(text: str, code: str) -> None:
    assert refusal(text) == code


@pytest.mark.parametrize("size", [1, 2, 3, 4, 1000, 786_432, 786_433, 3_000_000])
def test_sizes_up_to_the_limit(size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    data = data[:size]
    text = base64.b64encode(data).decode()
    assert decode_data_uri(HEAD + text, limit_bytes=size) == data
    assert decode_data_uri(text, limit_bytes=size, bare=True) == data
    assert refusal(HEAD + text, limit=size - 1) == "image_too_large"


def test_padding_between_blocks_is_refused() -> None:
    # Padding at the very end of the first block that is decoded, where strict decoding alone allows it.
    block = "QUJD" * ((1 << 18) - 1) + "QU=="
    text = "QUJD" + "QUJD" * ((1 << 18) - 2) + "QU==" + "QUJD"
    assert refusal(HEAD + block + "QUJD", limit=10**7) == "invalid_base64"
    assert refusal(text, limit=10**7, bare=True) == "invalid_base64"


def test_bare_base64_is_no_data_url() -> None:
    assert refusal("data:QUJD", bare=True) == "invalid_base64"
    assert refusal("DATA:image/gif,AAAA", bare=True) == "invalid_base64"


@pytest.mark.parametrize("kind", ["jpeg", "jpg", "png", "webp", "PNG"])
def test_types(kind: str) -> None:
    assert decode_data_uri(f"data:image/{kind};base64,QUJD", limit_bytes=3) == b"ABC"


@given(st.text() | st.text("QUJD=,+/-_ \n").map(HEAD.__add__), st.booleans())
def test_fuzz(text: str, bare: bool) -> None:
    try:
        decoded = decode_data_uri(text, limit_bytes=100, bare=bare)
    except ServiceError:
        return
    assert len(decoded) <= 100
    assert base64.b64decode(text.rpartition(",")[2], validate=True) == decoded

"""A file cut anywhere is refused, unless nothing but a JPEG's end marker is missing."""

from __future__ import annotations

from typing import Any

import pytest

from hailo_common.errors import ServiceError
from hailo_common.images.resize import ResizeSpec
from tests.hailo_common.images.make import encode, photo, scene
from tests.limits import decode

WHOLE = ResizeSpec(40, 24, exact=True)
OPTIONS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "restarts": {"restart_marker_blocks": 2},
    "progressive": {"progressive": True},
    "full colour": {"subsampling": 0, "quality": 95},
}


def outcome(data: bytes, target: ResizeSpec = WHOLE) -> bytes | str:
    """The pixels, or the code of the refusal."""
    try:
        return decode(data, target).rgb
    except ServiceError as error:
        return error.code


@pytest.mark.parametrize("name", OPTIONS)
def test_a_jpeg_cut_at_any_byte_is_refused_or_shows_the_whole_image(name: str) -> None:
    data = encode(photo(40, 24), "JPEG", **OPTIONS[name])
    whole = outcome(data)
    assert isinstance(whole, bytes)
    results = [outcome(data[:length]) for length in range(len(data))]
    assert results[:3] == ["image_empty", *["unsupported_image_format"] * 2]
    assert {result for result in results[3:] if isinstance(result, str)} == {"image_truncated"}
    assert [length for length, result in enumerate(results) if result == whole] == [
        length for length, result in enumerate(results) if isinstance(result, bytes)
    ]


@pytest.mark.parametrize(
    ("name", "accepted"), [("baseline", True), ("restarts", True), ("progressive", False)]
)
def test_only_a_missing_end_marker_is_forgiven(name: str, accepted: bool) -> None:
    data = encode(photo(640, 480), "JPEG", **OPTIONS[name])
    for target in (ResizeSpec(64, 48), ResizeSpec(64, 48, exact=True)):
        assert (outcome(data[:-2], target) == outcome(data, target)) is accepted
        assert outcome(data[:-1], target) == "image_truncated"
        assert outcome(data[:-200], target) == "image_truncated"


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_other_formats_cut_at_any_byte_are_refused(kind: str) -> None:
    data = encode(scene(24, 24), kind)
    codes = {outcome(data[:length]) for length in range(12, len(data))}
    assert codes == {"image_truncated"}

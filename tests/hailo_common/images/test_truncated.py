"""A file cut anywhere is refused, unless nothing but a JPEG's end marker is missing."""

from __future__ import annotations

from typing import Any

import pytest

from hailo_common.errors import ServiceError
from hailo_common.images.resize import ResizeSpec
from tests.hailo_common.images.make import AVIF, encode, photo, scene
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


def difference(one: bytes | str, other: bytes | str) -> float:
    """The share of pixels that differ by more than a compression artefact."""
    assert isinstance(one, bytes)
    assert isinstance(other, bytes)
    pixels = [(one[at : at + 3], other[at : at + 3]) for at in range(0, len(one), 3)]
    return sum(max(abs(a - b) for a, b in zip(*pair, strict=True)) > 24 for pair in pixels) / len(pixels)


@pytest.mark.parametrize("name", OPTIONS)
def test_a_jpeg_cut_at_any_byte_is_refused_or_shows_nearly_the_whole_image(name: str) -> None:
    data = encode(photo(80, 48), "JPEG", **OPTIONS[name])
    whole = outcome(data, ResizeSpec(80, 48, exact=True))
    assert isinstance(whole, bytes)
    results = [outcome(data[:length], ResizeSpec(80, 48, exact=True)) for length in range(len(data))]
    assert results[:3] == ["image_empty", *["unsupported_image_format"] * 2]
    assert {result for result in results[3:] if isinstance(result, str)} == {"image_truncated"}
    shown = [length for length, result in enumerate(results) if isinstance(result, bytes)]
    assert shown[-1] == len(data) - 1
    assert shown[0] > len(data) * 0.6
    assert max(difference(whole, result) for result in results if isinstance(result, bytes)) < 0.08


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("missing", [1, 2, 3, 10, 30])
def test_a_few_bytes_that_are_missing_change_nothing_a_person_would_see(name: str, missing: int) -> None:
    data = encode(photo(640, 480), "JPEG", **OPTIONS[name])
    for target in (ResizeSpec(64, 48), ResizeSpec(64, 48, exact=True)):
        whole, cut = outcome(data, target), outcome(data[:-missing], target)
        assert isinstance(whole, bytes)
        assert isinstance(cut, bytes)
        assert difference(whole, cut) < 0.01


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_an_image_that_lost_a_part_is_refused_and_never_described(name: str, share: float) -> None:
    data = encode(photo(640, 480), "JPEG", **OPTIONS[name])
    cut = outcome(data[: int(len(data) * share)], ResizeSpec(64, 48))
    if isinstance(cut, bytes):
        # Only the last bits of the last scan may be missing.
        assert name == "progressive"
        assert difference(outcome(data, ResizeSpec(64, 48)), cut) < 0.01
    else:
        assert cut == "image_truncated"


def test_scans_that_never_came_are_missed() -> None:
    data = encode(photo(640, 480), "JPEG", progressive=True)
    scans = [at for at in range(len(data) - 1) if data[at : at + 2] == b"\xff\xda"]
    assert len(scans) > 3
    for at in scans[1:]:
        assert outcome(data[:at], ResizeSpec(64, 48)) == "image_truncated"


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "BMP", "TIFF", *AVIF])
def test_other_formats_cut_at_any_byte_are_refused(kind: str) -> None:
    data = encode(scene(24, 24), kind)
    # A GIF is whole without its last byte, which only says that no other frame follows.
    codes = {outcome(data[:length]) for length in range(26, len(data) - (kind == "GIF"))}
    assert codes <= {"image_truncated", "invalid_image"}
    assert "image_truncated" in codes

"""The table of HailoRT's versions: which row counts for a library, known or not."""

from __future__ import annotations

import pytest

from hailo_common.npu.versions import VERSIONS, HailoRtVersion, hailort_version, version_key


def test_the_rows_go_by_age() -> None:
    keys = [version_key(row.name) for row in VERSIONS]
    assert keys == sorted(set(keys))


@pytest.mark.parametrize("row", VERSIONS)
def test_each_row_is_found_by_its_name(row: HailoRtVersion) -> None:
    assert hailort_version(row.name) is row


@pytest.mark.parametrize(
    ("version", "row"),
    [("4.23.0", 0), ("unknown", 0), ("", 0), ("5.1.2", 0), ("5.2.1", 1), ("5.3.9", 2), ("99.0", -1)],
)
def test_another_version_counts_as_the_newest_before_it(version: str, row: int) -> None:
    assert hailort_version(version) is VERSIONS[row]

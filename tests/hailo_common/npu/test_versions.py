"""The table of HailoRT's versions: which row counts for a library, known or not."""

from __future__ import annotations

from pathlib import Path

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


def test_the_page_has_the_same_table() -> None:
    page = (Path(__file__).parents[3] / "docs/npu.md").read_text(encoding="utf-8")
    (head,) = [line for line in page.splitlines() if line.startswith("| |")]
    assert [cell.strip() for cell in head.strip("| ").split("|")] == [row.name for row in VERSIONS]
    (nodes,) = [line for line in page.splitlines() if line.startswith("| device node")]
    for row, cell in zip(VERSIONS, nodes.split("|")[2:-1], strict=True):
        assert row.driver.device_class in cell or "the same" in cell
    (pythons,) = [line for line in page.splitlines() if line.startswith("| Python library")]
    newest = VERSIONS[-1].python
    assert newest is not None
    assert "Python 3.10 to {}.{}".format(*newest) in pythons

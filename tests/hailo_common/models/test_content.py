"""What a file must look like before it is pinned."""

from __future__ import annotations

from pathlib import Path

import pytest

from hailo_common.models.content import check_content
from hailo_common.models.http import TransferError
from hailo_common.models.manifest import ModelFile
from tests.hailo_common.models.depot import onnx

HEF = b"\x01HEF" + (3).to_bytes(4, "big") + (100).to_bytes(4, "big") + b"\0" * 100


def checked(folder: Path, name: str, content: bytes, hailort: str = "") -> str:
    file = ModelFile(name, (), None, None, None)
    (folder / name).write_bytes(content)
    return check_content(file, folder / name, hailort)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.onnx", onnx(b"payload")),
        ("a.json", b'\n{"a": 1}'),
        ("a.json", b"[]"),
        ("a.npy", b"\x93NUMPY\x01\x00"),
        ("a.gguf", b"GGUF\x03\x00\x00\x00"),
        ("merges.txt", b"anything"),
    ],
)
def test_files_that_are_what_they_should_be(tmp_path: Path, name: str, content: bytes) -> None:
    assert checked(tmp_path, name, content) == ""


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.onnx", onnx(b"payload")[:-1], "gave no ONNX file"),
        ("a.onnx", onnx(b"payload") + b"\x00", "gave no ONNX file"),
        ("a.onnx", b"\x08\x08", "gave no ONNX file"),
        ("a.onnx", b"\x08\x08\x3a\x00", "gave no ONNX file"),
        ("a.onnx", b"\x08\x08\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "gave no ONNX file"),
        ("a.onnx", b"", "gave no ONNX file"),
        ("a.json", b'{"a": ', "gave no JSON file"),
        ("a.json", b"[" * 100_000, "gave no JSON file"),
        ("a.json", b"7", "gave no JSON file"),
        ("a.gguf", b"GGUF\x00\x00\x00\x03", "gave no GGUF file"),
        ("a.npy", b"NUMPY", "gave no NPY file"),
        ("a.hef", b"\x01HEF", "gave no HEF file"),
        ("a.hef", HEF[:50], "gave no HEF file"),
        ("a.hef", b"HEF\x01" + HEF[4:], "gave no HEF file"),
        ("a.txt", b"\xef\xbb\xbf\n<!DOCTYPE html>", "gave a web page"),
    ],
)
def test_files_that_are_not(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    with pytest.raises(TransferError, match=message):
        checked(tmp_path, name, content)


def test_a_hef_tells_its_release(tmp_path: Path) -> None:
    head = HEF + b"...sdk-version: 5.3.0..."
    assert checked(tmp_path, "a.hef", head, "5.4.0") == "HEF for HailoRT 5.3.0"
    assert checked(tmp_path, "a.hef", head, "5.3.0") == "HEF for HailoRT 5.3.0"
    assert checked(tmp_path, "a.hef", HEF, "5.3.0") == "HEF, which does not tell its release"
    with pytest.raises(TransferError, match=r"gave a HEF for HailoRT 5\.3\.0, newer than 5\.2\.0"):
        checked(tmp_path, "a.hef", head, "5.2.0")

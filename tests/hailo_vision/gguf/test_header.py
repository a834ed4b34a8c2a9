"""GGUF headers: read truly, or refused with the file's name before any library sees them."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from hailo_common.errors import ModelError
from hailo_vision.gguf.header import TensorInfo, read_header


def test_a_header_says_what_was_written(demo: Path) -> None:
    header = read_header(demo / "model.gguf")
    assert header.architecture == "qwen2vl"
    assert header.number("qwen2vl.block_count") == 4
    assert len(header.listed("tokenizer.ggml.tokens", str)) == 784
    assert header.tensors["token_embd.weight"] == TensorInfo((128, 784), 0)
    assert header.kinds["tokenizer.ggml.tokens"] == "[str]"
    assert read_header(demo / "mmproj.gguf").text("clip.projector_type") == "qwen2vl_merger"


def packed(*entries: bytes, tensors: int = 0, count: int | None = None, version: int = 3) -> bytes:
    """A header of raw entries."""
    return struct.pack(
        "<4sIQQ", b"GGUF", version, tensors, len(entries) if count is None else count
    ) + b"".join(entries)


def text(value: bytes) -> bytes:
    """A text as GGUF has it."""
    return struct.pack("<Q", len(value)) + value


def entry(key: bytes, kind: int, value: bytes) -> bytes:
    """A key with its value."""
    return text(key) + struct.pack("<I", kind) + value


def tensor(name: bytes, shape: tuple[int, ...], kind: int, offset: int) -> bytes:
    """What the header says of a tensor."""
    sizes = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
    return text(name) + sizes + struct.pack("<IQ", kind, offset)


BAD = {
    "empty": (b"", "expected a GGUF file"),
    "short": (b"GGUF\3\0", "longer than the file"),
    "magic": (b"GGML" + packed()[4:], "version 2 or 3"),
    "version 1": (packed(version=1), "version 2 or 3"),
    "entries": (packed(count=1 << 40), "at most 65536"),
    "tensors": (packed(tensors=1 << 63), "at most 65536"),
    "text beyond the end": (packed(entry(b"k", 8, struct.pack("<Q", 1 << 20))), "longer than the file"),
    "text beyond all bounds": (packed(entry(b"k", 8, struct.pack("<Q", 1 << 62))), "at most"),
    "list beyond all bounds": (packed(entry(b"k", 9, struct.pack("<IQ", 4, 1 << 60))), "at most"),
    "list in a list": (packed(entry(b"k", 9, struct.pack("<IQ", 9, 1))), "which there is not"),
    "type": (packed(entry(b"k", 77, b"")), "type 77"),
    "key twice": (packed(entry(b"k", 0, b"1"), entry(b"k", 0, b"2")), "there twice"),
    "key with an escape": (packed(entry(b"\x1b[2J", 0, b"1")), "cannot be printed"),
    "alignment": (packed(entry(b"general.alignment", 4, struct.pack("<I", 3))), "power of two"),
    "no dimensions": (packed(tensors=1) + tensor(b"t", (), 0, 0), "0 dimensions"),
    "nothing in it": (packed(tensors=1) + tensor(b"t", (4, 0), 0, 0), "cannot be"),
    "overflow": (packed(tensors=1) + tensor(b"t", (1 << 33, 1 << 33), 0, 0), "cannot be"),
    "half a block": (packed(tensors=1) + tensor(b"t", (33, 1), 8, 0), "cannot be"),
    "unknown blocks": (packed(tensors=1) + tensor(b"t", (32,), 200, 0), "not known here"),
    "outside": (packed(tensors=1) + tensor(b"t", (1,), 0, 1 << 50), "outside of the file"),
    "crooked": (packed(tensors=1) + tensor(b"t", (1,), 0, 3), "outside of the file"),
    "missing data": (packed(tensors=1) + tensor(b"t", (8,), 0, 0), "tensors need"),
    "tensor twice": (packed(tensors=2) + 2 * tensor(b"t", (1,), 0, 0), "there twice"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_damaged_header_is_refused_with_the_files_name(name: str, tmp_path: Path) -> None:
    data, why = BAD[name]
    path = tmp_path / "model.gguf"
    path.write_bytes(data)
    with pytest.raises(ModelError, match=why) as caught:
        read_header(path)
    assert str(path) in str(caught.value)


def test_every_cut_of_a_real_header_is_refused(demo: Path, tmp_path: Path) -> None:
    whole = (demo / "model.gguf").read_bytes()
    path = tmp_path / "cut.gguf"
    for length in [*range(0, 4000, 61), len(whole) // 2, len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(ModelError, match=r"cut\.gguf"):
            read_header(path)

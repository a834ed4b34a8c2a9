"""How much room conversations get beside the model's files."""

from __future__ import annotations

import pytest

from hailo_vision.gguf.header import Header, read_header
from hailo_vision.gguf.sizing import choose_room
from tests.hailo_vision.gguf.tiny import Sizes, write_family

MB, GIB = 1 << 20, 1 << 30
CONTEXT = 1 << 19
"""Tokens of which the header's model keeps 128 MiB of keys and values."""


@pytest.fixture(scope="module")
def header(tmp_path_factory: pytest.TempPathFactory) -> Header:
    """A model that takes so many tokens."""
    folder = tmp_path_factory.mktemp("long")
    write_family("smolvlm", folder, Sizes(context=CONTEXT))
    return read_header(folder / "model.gguf")


@pytest.mark.parametrize(
    ("files", "memory", "asked", "slots"),
    [(280, 8, 0, 2), (600, 8, 0, 4), (100, 8, 0, 2), (600, 1.25, 0, 2), (280, 8, 4, 4), (280, 1, 4, 2)],
)
def test_conversations_take_no_more_than_a_small_models_files(
    header: Header, files: int, memory: float, asked: int, slots: int
) -> None:
    """Four of SmolVLM-256M's took 378 MiB beside 266 of files, and the engine 755 MB."""
    room = choose_room(
        header, [files * MB], max_model_len=CONTEXT, max_num_seqs=asked, memory_bytes=int(memory * GIB)
    )
    assert (room.context, room.slots) == (CONTEXT, slots)

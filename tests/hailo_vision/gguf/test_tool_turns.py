"""Calls of tools and their results on llama.cpp, in the form of the template beside the file."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.hailo_vision.gguf.conftest import Load
from tests.hailo_vision.gguf.test_engine import scenes
from tests.hailo_vision.text.test_tool_turns import OWN, TALK
from tests.hailo_vision.tool_talk import TEMPLATE

_PLACE = "<|vision_start|><|image_pad|><|vision_end|>"


def test_a_template_that_has_places_gets_them_filled(load: Load, demo: Path, tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    shutil.copytree(demo, folder)
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    engine = load(folder, max_num_seqs=1).engine
    assert engine._prompts.tells_tools
    (image,) = (engine._image_input(picture) for picture in scenes(1))
    made = engine._prompts.make(TALK, [image])
    before, after = (engine._prompts.tokens.encode(part, {}) for part in OWN.split(_PLACE))
    assert made.ids[: len(before)] == before
    assert made.ids[-len(after) :] == after
    assert made.image_tokens > 0

"""M-RoPE positions worked out by hand; the comparison with transformers is in `tests/oracle`."""

from __future__ import annotations

import numpy as np

from hailo_vision.onnx.families.qwen2_vl.family import mrope_positions
from hailo_vision.onnx.prompt import ImageSpan


def test_text_only_counts() -> None:
    made, following = mrope_positions(4, [], 2)
    assert made.tolist() == [[[0, 1, 2, 3]]] * 3
    assert following == 4


def test_an_image_between_texts() -> None:
    made, following = mrope_positions(10, [ImageSpan(2, (1, 4, 6))], 2)
    assert made[:, 0].tolist() == [
        [0, 1, 2, 2, 2, 2, 2, 2, 5, 6],
        [0, 1, 2, 2, 2, 3, 3, 3, 5, 6],
        [0, 1, 2, 3, 4, 2, 3, 4, 5, 6],
    ]
    assert following == 7


def test_images_of_other_sizes_and_at_the_end() -> None:
    made, following = mrope_positions(8, [ImageSpan(0, (1, 6, 3)), ImageSpan(3, (2, 3, 6))], 3)
    assert made[:, 0].tolist() == [
        [0, 0, 2, 3, 3, 4, 4, 5],
        [0, 1, 2, 3, 3, 3, 3, 5],
        [0, 0, 2, 3, 4, 3, 4, 5],
    ]
    assert following == 6


def test_a_longer_prompt_begins_with_the_positions_of_a_shorter_one() -> None:
    places = [ImageSpan(1, (1, 4, 4)), ImageSpan(9, (1, 2, 8))]
    whole, _ = mrope_positions(20, places, 2)
    part, _ = mrope_positions(13, places, 2)
    assert np.array_equal(whole[:, :, :13], part)

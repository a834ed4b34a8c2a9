"""An exported Qwen2-VL folder: its files and graphs, and that it holds every weight of the model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

DATA = Path(__file__).parent.parent / "data"
FOLDERS = [DATA / "qwen-random-a", DATA / "qwen-random-b"]
PARTS = ("vision_encoder", "embed_tokens", "decoder_model_merged")


def session(folder: Path, part: str) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    path = str(folder / "onnx" / f"{part}.onnx")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def settings(folder: Path, name: str) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
    return values


def config(folder: Path) -> dict[str, Any]:
    """The settings of the language part, which stand at the top or in `text_config`."""
    values = settings(folder, "config")
    return {**values, **values.get("text_config", {})}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_names_are_those_of_the_community(folder: Path) -> None:
    layers = config(folder)["num_hidden_layers"]
    kept = [f"{layer}.{kind}" for layer in range(layers) for kind in ("key", "value")]
    vision, embed, decoder = (session(folder, part) for part in PARTS)
    assert [item.name for item in vision.get_inputs()] == ["pixel_values", "grid_thw"]
    assert [item.name for item in vision.get_outputs()] == ["image_features"]
    assert [item.name for item in embed.get_inputs()] == ["input_ids"]
    assert [item.name for item in embed.get_outputs()] == ["inputs_embeds"]
    assert [item.name for item in decoder.get_inputs()] == [
        "inputs_embeds",
        "attention_mask",
        "position_ids",
        *(f"past_key_values.{end}" for end in kept),
    ]
    assert [item.name for item in decoder.get_outputs()] == ["logits", *(f"present.{end}" for end in kept)]


def decode(
    decoder: Any, embeds: NDArray[np.float32], cuts: tuple[int, ...], first: int = 0
) -> NDArray[np.float32]:
    """Scores of all tokens [1, tokens, vocabulary], fed piece by piece; positions begin at `first`."""
    total, scores = embeds.shape[1], []
    places = np.stack([np.arange(total), np.arange(total) // 2, np.arange(total) % 3])[:, None] + first
    past = {
        item.name: np.zeros((1, item.shape[1], 0, item.shape[3]), np.float32)
        for item in decoder.get_inputs()
        if item.name.startswith("past_key_values.")
    }
    for start, end in zip((0, *cuts), (*cuts, total), strict=True):
        made = decoder.run(
            None,
            {
                "inputs_embeds": embeds[:, start:end],
                "attention_mask": np.ones((1, end), np.int64),
                "position_ids": places[:, :, start:end],
                **past,
            },
        )
        past = dict(zip(past, made[1:], strict=True))
        scores.append(made[0])
    return np.concatenate(scores, axis=1)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_past_of_any_length_gives_the_same_scores(folder: Path) -> None:
    ids = np.random.default_rng(5).integers(0, 300, (1, 12))
    embeds = session(folder, "embed_tokens").run(None, {"input_ids": ids})[0]
    decoder = session(folder, "decoder_model_merged")
    whole = decode(decoder, embeds, ())
    assert whole.shape == (1, 12, config(folder)["vocab_size"])
    for cuts in ((11,), (1, 2, 3, 8), (5, 6)):
        assert np.abs(decode(decoder, embeds, cuts) - whole).max() < 1e-4
    assert np.abs(whole[:, 1:] - whole[:, :-1]).max() > 1


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_images_and_frames_do_not_see_each_other(folder: Path) -> None:
    """Each picture, and each frame of one, has the same features alone as beside the others."""
    image = settings(folder, "preprocessor_config")
    merge, patch = image["merge_size"], image["patch_size"]
    grids = np.array([[1, merge, 2 * merge], [2, 2 * merge, merge], [1, merge, merge]])
    width = 3 * image["temporal_patch_size"] * patch**2
    patches = np.random.default_rng(6).normal(size=(grids.prod(axis=1).sum(), width)).astype(np.float32)
    vision, frames, start = session(folder, "vision_encoder"), [], 0
    for frame in (grids[0], *[[1, *grids[1][1:]]] * 2, grids[2]):
        end = start + int(np.prod(frame))
        frames.append(
            vision.run(None, {"pixel_values": patches[start:end], "grid_thw": np.array([frame])})[0]
        )
        start = end
    both = vision.run(None, {"pixel_values": patches, "grid_thw": grids})[0]
    assert start == len(patches)
    assert np.abs(both - np.concatenate(frames)).max() < 1e-4


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_settings(folder: Path) -> None:
    """What a reader of the folder needs is there, in both layouts that are found."""
    values = settings(folder, "config")
    assert values["model_type"] == "qwen2_vl"
    assert ("text_config" in values) != ("rope_scaling" in values)
    assert values["image_token_id"] != values["video_token_id"]
    assert "<|image_pad|>" in settings(folder, "chat_template")["chat_template"]
    assert settings(folder, "tokenizer_config")["eos_token"] == "<|im_end|>"
    image = settings(folder, "preprocessor_config")
    assert ("size" in image) != ("min_pixels" in image)


@pytest.mark.oracle
@pytest.mark.filterwarnings("default")
def test_large_weights_stand_beside_the_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    from training.chat.qwen_checkpoint import load_model  # noqa: PLC0415
    from training.chat.qwen_random import SIZES, write_random_model  # noqa: PLC0415
    from training.onnx import onnx_trace  # noqa: PLC0415

    monkeypatch.setattr(onnx_trace, "LARGEST", 100_000)
    made = write_random_model(tmp_path, SIZES["a"]).state_dict()
    assert (tmp_path / "onnx" / "decoder_model_merged.onnx_data").stat().st_size > 100_000
    assert not (tmp_path / "onnx" / "embed_tokens.onnx_data").exists()
    read = load_model(tmp_path).state_dict()
    assert all(torch.equal(made[name], read[name]) for name in made)
    embeds = np.random.default_rng(7).normal(size=(1, 6, 48)).astype(np.float32)
    inside, outside = (
        decode(session(folder, "decoder_model_merged"), embeds, ()) for folder in (FOLDERS[0], tmp_path)
    )
    assert np.array_equal(inside, outside)


@pytest.mark.oracle
@pytest.mark.filterwarnings("default")
def test_positions_are_exact_in_half_precision(tmp_path: Path) -> None:
    """Float16 has no odd numbers above 2048: far places must still differ from their neighbours."""
    pytest.importorskip("torch")
    from training.chat.qwen_random import SIZES, write_random_model  # noqa: PLC0415

    write_random_model(tmp_path, SIZES["a"], variants=("", "fp16"))
    embeds = np.random.default_rng(8).normal(size=(1, 6, 48)).astype(np.float32)
    full, half = (
        decode(session(tmp_path, f"decoder_model_merged{ending}"), embeds, (), first=30_000)
        for ending in ("", "_fp16")
    )
    assert np.abs(full - half).max() < 0.03 * full.std()

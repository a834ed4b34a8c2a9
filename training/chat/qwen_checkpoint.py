"""The torch model of an exported Qwen2-VL folder: weights are read back from the ONNX files, bit for bit."""

from __future__ import annotations

from pathlib import Path

from transformers import GenerationConfig, Qwen2VLConfig, Qwen2VLForConditionalGeneration

from training.scenes.checkpoint import state_dict_from_onnx


def load_model(folder: Path) -> Qwen2VLForConditionalGeneration:
    """The exact torch model of an exported folder, in float32, for evaluation."""
    config = Qwen2VLConfig.from_pretrained(folder)
    model = Qwen2VLForConditionalGeneration._from_config(config, attn_implementation="eager")
    wanted, found = model.state_dict(), state_dict_from_onnx(folder)
    absent = sorted(wanted.keys() - found.keys())
    if absent:
        raise ValueError(f"{folder} lacks {', '.join(absent)}")
    model.load_state_dict({name: found[name].reshape(value.shape) for name, value in wanted.items()})
    model.generation_config = GenerationConfig.from_pretrained(folder)
    return model.eval()

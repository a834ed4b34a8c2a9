"""The torch model of an exported Qwen2-VL folder: weights are read back from the ONNX files, bit for bit."""

from __future__ import annotations

from pathlib import Path

from transformers import GenerationConfig, Qwen2VLConfig, Qwen2VLForConditionalGeneration

from training.scenes.checkpoint import state_dict_from_onnx

VISUAL = "model.visual."


def load_model(folder: Path, *, vision: bool = True) -> Qwen2VLForConditionalGeneration:
    """The exact torch model of an exported folder, in float32, for evaluation. ValueError for a lack.

    Without `vision` its vision part may be another one in the folder, and is left as it begins.
    """
    config = Qwen2VLConfig.from_pretrained(folder)
    model = Qwen2VLForConditionalGeneration._from_config(config, attn_implementation="eager")
    found = state_dict_from_onnx(folder)
    wanted = {
        name: value for name, value in model.state_dict().items() if vision or not name.startswith(VISUAL)
    }
    absent = sorted(wanted.keys() - found.keys())
    if absent:
        raise ValueError(f"{folder} lacks {', '.join(absent)}")
    kept = {name: found[name].reshape(value.shape) for name, value in wanted.items()}
    model.load_state_dict(kept, strict=vision)
    model.generation_config = GenerationConfig.from_pretrained(folder)
    return model.eval()

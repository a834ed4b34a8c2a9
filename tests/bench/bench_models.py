"""The models that are measured: the demo models, and larger ones with random weights, made when needed."""

from __future__ import annotations

import functools
import sys
from dataclasses import dataclass
from pathlib import Path

from hailo_common.inference.model_dir import ModelDir
from hailo_vision.text.tokens import Tokens

ROOT = Path(__file__).parent.parent.parent
CACHE = ROOT / ".cache" / "bench"
_LAST = Path("onnx", "decoder_model_merged.onnx")
_FORCED = 100.0


def base_model(size: str) -> Path:
    """A random-weight Florence-2-base, made once (needs PyTorch)."""
    from training.florence.random_model import SIZES, write_random_model  # noqa: PLC0415

    folder = CACHE / size
    if not (folder / _LAST).exists():
        _announce(size)
        write_random_model(folder, SIZES[size])
    return folder


@dataclass(frozen=True)
class ChatModel:
    """A Qwen2-VL to measure; `random` tells that its answers mean nothing and need not end."""

    name: str
    folder: Path
    random: bool

    @functools.cached_property
    def extra(self) -> dict[str, object]:
        """What requests say besides: random weights always answer "a", so that every token can be seen."""
        if not self.random:
            return {}
        (token,) = Tokens(ModelDir(self.folder)).encode("a", {})
        return {"logit_bias": {str(token): _FORCED}}


def chat_model(folder: Path) -> ChatModel:
    """The model of a folder; those of `training.chat.qwen_random` have no card."""
    random = not (folder / "model_card.json").exists()
    return ChatModel(folder.name if random else "chat demo model", folder, random)


def chat_bench_model() -> ChatModel:
    """A random-weight Qwen2-VL of 277 million parameters, made once (needs PyTorch)."""
    from training.chat.qwen_random import SIZES, write_random_model  # noqa: PLC0415

    folder = CACHE / "qwen-bench"
    if not (folder / _LAST).exists():
        _announce("qwen-bench")
        write_random_model(folder, SIZES["bench"])
    return ChatModel("Qwen2-VL of 277 M parameters", folder, random=True)


def _announce(size: str) -> None:
    print(f"making random weights of the size {size} ...", file=sys.stderr)

"""What the publishers' servers have in a test: random weights in the layout of the real files.

Made once and kept in .cache: PyTorch, of `make oracle-venv`, writes the ONNX folders, numpy the GGUF files.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import gguf
import pytest

from hailo_common.models.manifest import ModelFile
from tests.bench.random_gguf import Q8, matrix, text_tensors, vision_tensors
from tests.hailo_vision.gguf.tiny import Sizes, write_family
from tests.machine.roots import CACHE, TREE, locked, sh
from tools.gguf_export.files import MODEL, PROJECTOR, write_model, write_projector

FLORENCE, CHAT = "florence-2-base-ft-onnx", "qwen2-vl-2b-instruct-onnx"
_PYTHON = TREE / ".venv-oracle/bin/python"
_RECIPE = """
training/onnx training/florence training/chat/qwen_random.py training/chat/qwen_tokenizer.py
tools/gguf_export/files.py tests/bench/random_gguf.py tests/hailo_vision/gguf/tiny.py
tests/machine/random_models.py
"""
"""What they are made by."""
_SMOLVLM = Sizes(
    width=192, heads=3, shared=1, ffn=256, context=8192, tokens=49280,
    sight=96, sight_heads=3, sight_ffn=192, sight_layers=12,
)  # fmt: skip
_GGUF = {"smolvlm-256m-instruct-gguf": 30, "smolvlm-500m-instruct-gguf": 32}
"""How many layers their language models have."""
_QWEN_GGUF = "qwen2-vl-2b-instruct-gguf"
MODELS = (FLORENCE, CHAT, _QWEN_GGUF, *_GGUF)
"""The manifest's names of all that is there: what any machine of 4 GB and more takes by itself."""


def content(folder: Path, model: str, file: ModelFile) -> bytes:
    """What lies under a file's name at the publisher's; `folder` is what `random_models` gave."""
    name = file.path
    if name.endswith(".gguf"):
        name = PROJECTOR if name.startswith("mmproj") else MODEL
    return (folder / model / name).read_bytes()


def random_models() -> Path:
    """The folder of all of them, each below its name in the manifest."""
    if not _PYTHON.exists():
        pytest.skip("make oracle-venv first: PyTorch writes what the publishers have")
    kept = CACHE / "machine/published" / _digest()
    with locked():
        if not kept.is_dir():
            shutil.rmtree(kept.parent, ignore_errors=True)
            begun = kept.with_suffix(".new")
            _write(begun)
            begun.rename(kept)
    return kept


def _digest() -> str:
    paths = [TREE / name for name in _RECIPE.split()]
    files = sorted(file for path in paths for file in ([path] if path.is_file() else path.glob("*.py")))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


def _write(out: Path) -> None:
    program = ("env", f"PYTHONPATH={TREE}", "OMP_NUM_THREADS=1", _PYTHON, "-m", "training.onnx.as_published")
    sh(*program, out, timeout=1200)
    for name, layers in _GGUF.items():
        sizes = replace(_SMOLVLM, layers=layers)
        called = name.removesuffix("-gguf")
        write_family("smolvlm", out / name, sizes, partial(matrix, kind=Q8), called=called)
    folder, config = out / _QWEN_GGUF, json.loads((out / CHAT / "config.json").read_text(encoding="utf-8"))
    processor = json.loads((out / CHAT / "preprocessor_config.json").read_text(encoding="utf-8"))
    folder.mkdir()
    write_model(folder / MODEL, config, out / CHAT, text_tensors(config), filler=gguf.TokenType.NORMAL)
    write_projector(folder / PROJECTOR, config, processor, vision_tensors(config["vision_config"]))

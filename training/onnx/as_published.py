"""Narrow models with random weights in exactly the layout that the publishers' ONNX folders have.

`python -m training.onnx.as_published OUT` writes `OUT/florence-2-base-ft-onnx` and
`OUT/qwen2-vl-2b-instruct-onnx`: file names, inputs and outputs of the graphs, layers, sizes of vocabularies
and numbers of special tokens are the published ones; only the width is not, so the files are small.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from itertools import chain, product
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from training.chat.qwen_random import Size as ChatSize
from training.chat.qwen_random import Vision
from training.chat.qwen_random import random_model as random_chat
from training.chat.qwen_tokenizer import SPECIAL as CHAT_SPECIAL
from training.chat.qwen_tokenizer import SPLIT, save_chat_files
from training.florence.random_model import Size, random_model
from training.florence.tokenizer import SPECIAL, build_tokenizer, save_tokenizer
from training.onnx import export_florence, export_qwen
from training.onnx.model_files import write_json

FLORENCE, CHAT = "florence-2-base-ft-onnx", "qwen2-vl-2b-instruct-onnx"
_FLORENCE_WORDS, _FLORENCE_TOKENS, _CHAT_WORDS, _CHAT_TOKENS = 50265, 51289, 151643, 151936
"""Ordinary tokens, and rows of the embedding."""
_FLORENCE_SIZE = Size(
    *(768, 64, (6, 6), 4, 128, (16, 32, 64, 128), (1, 1, 9, 1), (2, 4, 8, 16), 12),
    vocabulary=_FLORENCE_TOKENS,
    positions=1024,
)
_CHAT_SIZE = ChatSize(
    Vision(32, 64, 4, 4), *(128, 28, (4, 2), 256, (4, 6, 6)), vocabulary=_CHAT_TOKENS, positions=32768
)
_PIXELS = (56 * 56, 12845056)
_TASKS = ("od", "/od", "ocr", "/ocr")
_MORE_TASKS = (
    *("cap", "/cap", "ncap", "/ncap", "dcap", "/dcap", "grounding", "/grounding", "seg", "/seg", "sep"),
    *("region_cap", "/region_cap", "region_to_desciption", "/region_to_desciption", "proposal", "/proposal"),
    *("poly", "/poly", "and"),
)
"""Spelled as Florence-2's own tokenizer has them."""


def florence_tokenizer() -> Tokenizer:
    """Florence-2's layout: BART's 50,265 tokens with random merges, then tasks and 1,000 locations."""
    tokenizer = Tokenizer(_merging(SPECIAL, _FLORENCE_WORDS - 1, "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    locations = [f"loc_{number}" for number in range(1000)]
    added = ["<mask>", *(f"<{name}>" for name in (*_TASKS, *locations, *_MORE_TASKS))]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in added])
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False
    )
    return _of_size(tokenizer, _FLORENCE_TOKENS)


def chat_tokenizer() -> Tokenizer:
    """Qwen2's layout: 151,643 tokens with merges of no meaning, then the special ones."""
    tokenizer = Tokenizer(_merging((), _CHAT_WORDS))
    tokenizer.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(Regex(SPLIT), behavior="isolated")
    bytes_ = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, bytes_])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [AddedToken(token, special=True, normalized=False) for token in CHAT_SPECIAL]
    )
    return _of_size(tokenizer, _CHAT_WORDS + len(CHAT_SPECIAL))


def _merging(first: Sequence[str], count: int, unknown: str | None = None) -> models.BPE:
    """So many tokens: `first`, the 256 bytes, and two and three of them that merge."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate((*first, *letters))}
    merges = []
    for left, right in _pairs(letters):
        if len(vocabulary) == count:
            break
        merges.append((left, right))
        vocabulary[left + right] = len(vocabulary)
    return models.BPE(vocabulary, merges, unk_token=unknown)


def _pairs(letters: Sequence[str]) -> Iterator[tuple[str, str]]:
    triples = ((first + second, third) for first, second, third in product(letters, repeat=3))
    return chain(product(letters, letters), triples)


def _of_size(tokenizer: Tokenizer, count: int) -> Tokenizer:
    if tokenizer.get_vocab_size() != count:
        raise ValueError(f"the tokenizer has {tokenizer.get_vocab_size()} tokens instead of {count}")
    return tokenizer


def write_florence(folder: Path) -> None:
    """Write the folder of Florence-2-base-ft."""
    # The number of <image> stands in no graph, and the published tokenizer has no such token.
    model = random_model(_FLORENCE_SIZE, build_tokenizer(["red cat"]))
    with tempfile.TemporaryDirectory() as texts:
        save_tokenizer(florence_tokenizer(), Path(texts), _FLORENCE_SIZE.positions)
        export_florence.export(model, Path(texts), folder, _FLORENCE_SIZE.side)
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    del config["image_token_id"]
    config["text_config"]["model_type"] = "florence2_language"
    config["vision_config"]["model_type"] = "davit"
    write_json(path, config)


def write_chat(folder: Path) -> None:
    """Write the folder of Qwen2-VL-2B-Instruct: decoder in four bits, the rest in eight."""
    tokenizer = chat_tokenizer()
    with tempfile.TemporaryDirectory() as place:
        texts, made = Path(place) / "texts", Path(place) / "made"
        save_chat_files(tokenizer, texts, _CHAT_SIZE.positions)
        model = random_chat(_CHAT_SIZE, tokenizer)
        export_qwen.export(model, texts, made, _PIXELS, variants=("int8", "q4"))
        (folder / "onnx").mkdir(parents=True)
        for path in made.glob("*.json"):
            shutil.copy(path, folder)
        for name in ("vision_encoder", "embed_tokens"):
            shutil.copy(made / f"onnx/{name}_int8.onnx", folder / f"onnx/{name}_quantized.onnx")
        shutil.copy(made / "onnx/decoder_model_merged_q4.onnx", folder / "onnx")


def main() -> None:
    """Write both folders."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    out: Path = parser.parse_args().out
    write_florence(out / FLORENCE)
    write_chat(out / CHAT)


if __name__ == "__main__":
    main()

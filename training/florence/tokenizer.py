"""Byte-level BPE in the layout of BART's, with one token for each word of the demo's language."""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from training.scenes.language import vocabulary_text

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
IMAGE_TOKEN = "<image>"
LOCATIONS = 10


def build_tokenizer(
    sentences: list[str] | None = None,
    locations: int = LOCATIONS,
    *,
    most: int = 5000,
    capitals: bool = False,
) -> Tokenizer:
    """A tokenizer whose merges make one token of every word in `sentences`, at most so many tokens.

    It lowers what it is given. With `capitals` it was not so while it learnt: words with capitals are tokens
    of their own, for whoever takes its normalizer away.
    """
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    if not capitals:
        tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=most,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in SPECIAL],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sentences if sentences is not None else vocabulary_text(), trainer)
    extra = ["<mask>", IMAGE_TOKEN, *(f"<loc_{index}>" for index in range(locations))]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in extra])
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False
    )
    return tokenizer


def image_token_id(tokenizer: Tokenizer) -> int:
    """Number of the `<image>` token."""
    number = tokenizer.token_to_id(IMAGE_TOKEN)
    if number is None:
        raise ValueError("the tokenizer has no <image> token")
    return int(number)


def save_tokenizer(tokenizer: Tokenizer, folder: Path, longest: int) -> None:
    """Write `tokenizer.json` and `tokenizer_config.json`; `longest` is a count of tokens."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": longest,
        "bos_token": "<s>",
        "cls_token": "<s>",
        "eos_token": "</s>",
        "sep_token": "</s>",
        "pad_token": "<pad>",
        "unk_token": "<unk>",
        "mask_token": "<mask>",
        "extra_special_tokens": {"image_token": IMAGE_TOKEN},
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")

"""The everyday model's tokenizer: one token a word, capitals in answers only."""

from __future__ import annotations

import random
import re

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

from training.florence.tokenizer import IMAGE_TOKEN, SPECIAL
from training.things.kinds import KINDS
from training.things.places import STEPS
from training.voice.samples import SHARES, about, draw_kind, fitting_list

_LOCATION = re.compile(r"<loc_\d+>")
_SAMPLES = 30000


def _texts() -> list[str]:
    """Prompts and answers with every word of the language, but for words that it does not know."""
    rng = random.Random(0)
    found = [text for kind in KINDS for text in (kind.name, f"a {kind.name}", f"the {kind.plural}")]
    for number in range(_SAMPLES):
        kind = list(SHARES)[number % len(SHARES)] if number < 20 * len(SHARES) else draw_kind(rng)
        if kind in ("vqa unknown", "strange"):
            continue
        prompt, answer = about(fitting_list(kind, rng), kind, rng)
        found += [" ".join(_LOCATION.sub(" ", prompt.removeprefix("<VQA>")).lower().split())]
        found += [part for part in _LOCATION.split(answer) if part]
    return found


def build_words() -> Tokenizer:
    """A byte-level BPE in the layout of BART's that lowers what it is given."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=20000,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in SPECIAL],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(), trainer)
    extra = ["<mask>", IMAGE_TOKEN, *(f"<loc_{index}>" for index in range(STEPS))]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in extra])
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False
    )
    return tokenizer


def for_answers(tokenizer: Tokenizer) -> Tokenizer:
    """The same with capitals as they are."""
    copy = Tokenizer.from_str(tokenizer.to_str())
    copy.normalizer = normalizers.Sequence([])
    return copy

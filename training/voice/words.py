"""The everyday model's tokenizer: one token a word, capitals in answers only."""

from __future__ import annotations

import random
import re

from tokenizers import Tokenizer, normalizers

from training.florence.tokenizer import build_tokenizer
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
    return build_tokenizer(_texts(), STEPS, most=20000, capitals=True)


def for_answers(tokenizer: Tokenizer) -> Tokenizer:
    """The same with capitals as they are."""
    copy = Tokenizer.from_str(tokenizer.to_str())
    copy.normalizer = normalizers.Sequence([])
    return copy

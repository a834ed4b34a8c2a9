"""Which words are one token: those of the questions and answers, and common ones of long instructions."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable

from tokenizers import Tokenizer

from training.chat.qwen_tokenizer import build_chat_tokenizer
from training.everyday.talks import talk
from training.things.captions import NUMBERS, capital
from training.things.kinds import COLOURS, KINDS, SYNONYMS, plural_of

SAMPLES, SEED = 6000, 7
MOST_WORDS = 1100
_PIECE = re.compile(r"[A-Za-z]+|[^A-Za-z\d\s]+")


def sentences() -> Iterable[str]:
    """Texts of invented conversations: always the same ones."""
    rng = random.Random(SEED)
    for _ in range(SAMPLES):
        for message in talk(rng).messages():
            yield from (part["text"] for part in message["content"] if "text" in part)


def needed() -> list[str]:
    """What answers are made of, whatever the samples show."""
    names = [name for kind in KINDS for name in (kind.name, kind.plural)]
    other = [word for words in SYNONYMS.values() for word in words]
    names += [*COLOURS, *NUMBERS, *other, *(plural_of(word) for word in other)]
    return [*names, *map(capital, names), "true false null", "yes no Yes No"]


def build_tokenizer() -> Tokenizer:
    """The tokenizer: all bytes, the words, the special tokens."""
    counts: Counter[str] = Counter()
    for text in sentences():
        counts.update(_PIECE.findall(text))
    common = [piece for piece, _ in counts.most_common(MOST_WORDS)]
    ends = ['."} .", ," " {" ": " "} [" "] [{" }, }] "}, "}] ": [ ": { []} ]} "] } ], ": []', "```json\n```"]
    return build_chat_tokenizer([*needed(), *common, *(f" {piece}" for piece in common), *ends])

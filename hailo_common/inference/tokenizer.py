"""Tokenizers from a model folder's `tokenizer.json`. The only module that imports `tokenizers`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tokenizers import Tokenizer

from hailo_common.errors import ModelError, library_reason

_MOST_STEPS = 16
_MOST_GROWTH = 16
"""How many times longer a normaliser may make a text. Those in use put three bytes in a blank's place."""
_LONGEST_PATTERN = 1000


def make_tokenizer(source: dict[str, Any], name: str) -> Any:
    """A tokenizer from parsed JSON, without truncation and padding.

    Raises ModelError naming the file `name` when the library cannot read it.
    """
    _check_growth(source, name)
    try:
        made = Tokenizer.from_str(json.dumps({**source, "truncation": None, "padding": None}))
        made.encode("a")
    except Exception as error:  # the library raises bare Exception
        raise ModelError(
            f"{name}: expected a tokenizer of the tokenizers library, which says: {library_reason(error)}"
        ) from error
    return made


def _check_growth(source: Mapping[str, Any], name: str) -> None:
    """Refuse what makes a long text of a short one: Rust ends the process where memory is short."""
    growth = 1
    for part in ("normalizer", "pre_tokenizer", "decoder"):
        steps = _steps(source.get(part), name)
        if len(steps) > _MOST_STEPS:
            raise ModelError(f"{name}: expected at most {_MOST_STEPS} steps in {part!r}")
        for step in steps:
            texts = [text for key in ("content", "prepend") if isinstance(text := step.get(key), str)]
            growth *= max([1, *(len(text.encode("utf-8", "replace")) for text in texts)])
            pattern = step.get("pattern")
            if isinstance(pattern, dict) and any(len(str(p)) > _LONGEST_PATTERN for p in pattern.values()):
                raise ModelError(f"{name}: expected patterns of at most {_LONGEST_PATTERN} characters")
            if growth > _MOST_GROWTH:
                raise ModelError(
                    f"{name}: expected {part!r} to make a text at most {_MOST_GROWTH} times longer"
                )


def _steps(value: Any, name: str) -> list[Mapping[str, Any]]:
    """The single steps of a normaliser or the like, however they are nested."""
    steps: list[Mapping[str, Any]] = []
    waiting = [(value, 0)]
    while waiting:
        step, depth = waiting.pop()
        if not isinstance(step, dict):
            continue
        if depth > _MOST_STEPS or len(steps) > _MOST_STEPS:
            raise ModelError(f"{name}: expected at most {_MOST_STEPS} steps that change a text")
        steps.append(step)
        for key in ("normalizers", "pretokenizers", "decoders"):
            inner = step.get(key)
            waiting += [(each, depth + 1) for each in inner] if isinstance(inner, list) else []
    return steps


def is_unicode(text: str) -> bool:
    """Whether the text has no lone surrogates, which JSON can carry and UTF-8 cannot."""
    return not any("\ud800" <= character <= "\udfff" for character in text)

"""Tokenizers from a model folder's `tokenizer.json`. The only module that imports `tokenizers`."""

from __future__ import annotations

import json
from typing import Any

from tokenizers import Tokenizer

from hailo_common.errors import ModelError, library_reason


def make_tokenizer(source: dict[str, Any], name: str) -> Any:
    """A tokenizer from parsed JSON, without truncation and padding.

    Raises ModelError naming the file `name` when the library cannot read it.
    """
    try:
        made = Tokenizer.from_str(json.dumps({**source, "truncation": None, "padding": None}))
        made.encode("a")
    except Exception as error:  # the library raises bare Exception
        raise ModelError(
            f"{name}: expected a tokenizer of the tokenizers library, which says: {library_reason(error)}"
        ) from error
    return made


def is_unicode(text: str) -> bool:
    """Whether the text has no lone surrogates, which JSON can carry and UTF-8 cannot."""
    return not any("\ud800" <= character <= "\udfff" for character in text)

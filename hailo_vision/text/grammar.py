"""Answers that are valid JSON, or match a schema: which tokens a grammar allows next.

The only module that imports `llguidance`, which need not be installed. It compiles grammars lazily and within
the limits below, because a schema is a stranger's program.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hailo_common.errors import InvalidParameter
from hailo_vision.text.call_grammar import call_grammar

KINDS = ("text", "json_object", "json_schema", "tools")
_PARAM = "response_format"
_MOST_CHARACTERS = 65_536
_MOST_REPEATS = 10_000
_LIMITS: dict[str, Any] = {
    "initial_lexer_fuel": 200_000,
    "step_lexer_fuel": 100_000,
    "max_lexer_states": 20_000,
    "max_grammar_size": 50_000,
    "precompute_large_lexemes": False,
    "verbose_errors": False,
}
_SPACE = r"[ \n]{0,3}"  # unbounded white space is where weak models stay for ever
_REPEAT = re.compile(r"\{(\d+),?(\d*)\}")


def available() -> bool:
    """Whether answers can be constrained here; imports nothing."""
    return find_spec("llguidance") is not None


class Constraint:
    """One answer in the making, as the grammar sees it; `loose` where it is not all that was asked for."""

    def __init__(self, matcher: Any, vocabulary: int, *, loose: bool = False) -> None:
        self._matcher = matcher
        self._vocabulary = vocabulary
        self.loose = loose

    def allowed(self) -> NDArray[np.bool_]:
        """Which tokens may come next, (vocabulary,); raises InvalidParameter when the grammar got too big."""
        bits = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        self._check()
        listed = np.unpackbits(bits, bitorder="little")[: self._vocabulary].astype(np.bool_)
        return np.pad(listed, (0, self._vocabulary - listed.size))

    def add(self, token: int) -> None:
        """Note a token that was chosen among the allowed ones."""
        self._matcher.consume_token(token)
        self._check()

    @property
    def finished(self) -> bool:
        """True when nothing but the end may follow."""
        return bool(self._matcher.is_stopped())

    def _check(self) -> None:
        if self._matcher.is_error():
            raise _refused("The response format is too complex for this model.")


class ByteVocabulary(Protocol):
    """A vocabulary that is no `tokenizer.json`: ids from 0 to `size`, and text to ids."""

    @property
    def size(self) -> int: ...
    @property
    def marks(self) -> Sequence[int]: ...
    def bytes_of(self, token: int) -> bytes: ...
    def encode(self, rendered: str, restored: Mapping[int, str]) -> list[int]: ...


class _Listed:
    """A vocabulary as llguidance wants one that it cannot read by itself."""

    bos_token_id = None

    def __init__(self, vocabulary: ByteVocabulary, ends: Sequence[int]) -> None:
        self.eos_token_id = ends[0]
        self.tokens = [vocabulary.bytes_of(token) for token in range(vocabulary.size)]
        # Marks that an answer shows, such as those around the call of a tool, are text to a grammar.
        self.special_token_ids = [
            token for token in vocabulary.marks if not self.tokens[token] or token in ends
        ]
        for token in self.special_token_ids:
            self.tokens[token] = b"<mark %d>" % token
        self._encode = vocabulary.encode

    def __call__(self, text: str) -> list[int]:
        return self._encode(text, {})


class Grammars:
    """Makes constraints for one model's tokens."""

    def __init__(self, tokenizer: str | ByteVocabulary, vocabulary: int, ends: Sequence[int]) -> None:
        """`tokenizer` is the text of `tokenizer.json` or a vocabulary; `vocabulary` the number of scores.

        Raises what the library raises for a tokenizer that it cannot read.
        """
        import llguidance  # noqa: PLC0415 - optional

        read: Any = tokenizer
        if not isinstance(tokenizer, str):
            read = llguidance.TokenizerWrapper(_Listed(tokenizer, ends))
        self._library = llguidance
        self._vocabulary = vocabulary
        self._tokens = llguidance.LLTokenizer(read, n_vocab=vocabulary, eos_token=list(ends))
        self._limits = llguidance.LLParserLimits(**_LIMITS)

    def start(self, response_format: Mapping[str, Any]) -> Constraint | None:
        """The constraint of a `response_format`, None for plain text; raises InvalidParameter."""
        kind = response_format.get("type")
        if kind not in KINDS:
            raise _refused(f"The type must be one of {', '.join(KINDS)}.")
        if kind == "text":
            return None
        if kind == "tools":
            return self._calls(response_format)
        schema = response_format.get("schema") if kind == "json_schema" else {"type": "object"}
        options, matcher = _options(response_format), self._library.LLMatcher
        return self._made(lambda: matcher.grammar_from_json_schema(_bounded(schema), overrides=options))

    def _made(self, grammar: Callable[[], str], *, loose: bool = False) -> Constraint:
        matcher = self._library.LLMatcher
        try:
            made = matcher(self._tokens, grammar(), log_level=0, limits=self._limits)
        except (ValueError, TypeError) as error:
            raise _refused("The JSON schema cannot be used.") from error
        if made.is_error():
            raise _refused("The JSON schema uses what is not supported here, or is too complex.")
        return Constraint(made, self._vocabulary, loose=loose)

    def _calls(self, tools: Mapping[str, Any]) -> Constraint:
        """Words, or calls of tools; arguments are held to any object where all schemas are too much."""
        matcher = self._library.LLMatcher
        try:
            lost = _loses(list(tools["schemas"].values()))
            return self._made(lambda: matcher.grammar_from_lark(call_grammar(tools, _inner)), loose=lost)
        except InvalidParameter:
            loose = {**tools, "schemas": {name: {"type": "object"} for name in tools["schemas"]}}
        try:
            return self._made(lambda: matcher.grammar_from_lark(call_grammar(loose, _inner)), loose=True)
        except InvalidParameter as error:
            error.param = "tools"
            raise


def _options(response_format: Mapping[str, Any]) -> Any:
    return {
        "whitespace_pattern": _SPACE,
        "coerce_one_of": True,
        "lenient": not response_format.get("strict", False),
    }


def _inner(response_format: Mapping[str, Any]) -> str:
    """The JSON of a format inside a larger grammar, with the same options."""
    schema = response_format.get("schema", {"type": "object"})
    options = _options(response_format)
    return _bounded({**schema, "x-guidance": options} if isinstance(schema, dict) else schema)


def _bounded(schema: Any) -> str:
    """The schema as text; raises InvalidParameter when it is none or asks for too much."""
    if not isinstance(schema, dict):
        raise _refused("The JSON schema must be an object.")
    try:
        text = json.dumps(schema)
        repeats = sum(map(_repeats, _patterns(schema)))
    except RecursionError:
        raise _refused("The JSON schema is nested too deeply.") from None
    if len(text) > _MOST_CHARACTERS or repeats > _MOST_REPEATS:
        raise _refused(
            f"The JSON schema may have {_MOST_CHARACTERS} characters, and {_MOST_REPEATS} repetitions in "
            "its patterns."
        )
    return text


def _loses(schemas: Any) -> bool:
    """Whether schemas hold the keyword that the library leaves out and the check of whole answers knows."""
    waiting = [schemas]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if "not" in value:
                return True
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return False


def _patterns(value: Any) -> list[str]:
    """Every text in a schema that has a repetition in it: any of them may be a pattern, keys included."""
    if isinstance(value, dict):
        return [text for item in value.items() for part in item for text in _patterns(part)]
    if isinstance(value, list):
        return [text for item in value for text in _patterns(item)]
    return [value] if isinstance(value, str) and "{" in value else []


def _repeats(pattern: str) -> int:
    """How long a pattern may become when its repetitions are written out, nested as deep as can be."""
    return math.prod(max(1, int(most or least)) for least, most in _REPEAT.findall(pattern))


def _refused(message: str) -> InvalidParameter:
    return InvalidParameter(message, code="invalid_response_format", param=_PARAM)

"""The grammar of an answer that may call tools, in the language that llguidance reads.

A call's name and arguments are held to what is declared; around them the form is fixed to the character, so
that who reads the answer while it comes knows where a name ends and where arguments begin.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from hailo_vision.protocol import CALL_BEGIN, CALL_END

_RULES = """%llguidance {}
first: BEGIN call
more: "\\n" BEGIN call
call: "\\n{\\"name\\": " one "}\\n" END
"""
_WORDS = r"/(.|\n)*/"

Inner = Callable[[Mapping[str, Any]], str]


def call_grammar(tools: Mapping[str, Any], inner: Inner) -> str:
    """The grammar of a `response_format` of type `tools`.

    Its `schemas` by name, from `least` to `most` calls; with `least` 0 an answer in words instead, of the
    format `answer` where that is not None. `inner` makes the text of such a format as a JSON schema.
    """
    begin, end = json.dumps(CALL_BEGIN), json.dumps(CALL_END)
    calls = ["first", *([f"more{{0,{tools['most'] - 1}}}"] if tools["most"] > 1 else [])]
    lines = [_RULES.replace("BEGIN", begin).replace("END", end), *_each(tools["schemas"], inner)]
    if tools["least"]:
        lines.append(f"start: {' '.join(calls)}")
    elif tools["answer"] is not None:
        lines += [f"start: {' '.join(calls)} | answer", f"answer: %json {inner(tools['answer'])}"]
    else:
        # Words, and calls after words: the shortest text up to the mark that is followed by a call.
        said = ["said call", *calls[1:]]
        lines += [f"start: {' '.join(said)} | WORDS", f"said[lazy]: {_WORDS} {begin}"]
        lines.append(f"WORDS: {_WORDS} & ~/(.|\\n)*{CALL_BEGIN}(.|\\n)*/")
    return "\n".join(lines)


def _each(schemas: Mapping[str, Mapping[str, Any]], inner: Inner) -> list[str]:
    """A rule for the name and the arguments of each tool."""
    rules = [f"one: {' | '.join(f'one_{number}' for number in range(len(schemas)))}"]
    for number, (name, schema) in enumerate(schemas.items()):
        head = json.dumps(f'{json.dumps(name)}, "arguments": ')
        rules.append(f"one_{number}: {head} %json {inner({'schema': schema})}")
    return rules

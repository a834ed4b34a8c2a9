"""The chat template of a model folder, rendered as transformers does. The only module that imports `jinja2`.

The template comes with the model; what clients write reaches it only as values, in a sandbox in which
nothing can be changed. Source of the settings: transformers 5.23, `utils/chat_template_utils.py`.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, Literal, NoReturn

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.filters import do_round
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from hailo_common.errors import InvalidParameter, ModelError, ModelMissing, library_reason
from hailo_common.inference.bounds import TookTooMuch, bounded
from hailo_common.inference.model_dir import ModelDir
from hailo_vision.protocol import CALL_BEGIN

_FILES = ("chat_template.jinja", "chat_template.json", "tokenizer_config.json")
_TOKENS = ("bos_token", "eos_token", "unk_token", "pad_token")
_SECONDS, _BYTES = 2.0, 64 << 20
"""Of CPU and of memory, for one rendering; a long conversation takes milliseconds."""
_MOST_POWER, _MOST_BASE = 64, 1 << 32
_PROBE = "probe_of_tools"
_PROBES = ("probe_of_call", "probe_of_key", "probe_of_value", "probe_of_result")
_LONGEST = 1 << 20
"""Characters of a template. Those in use have some thousands."""

Shape = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""A message in the form in which a template takes it."""


class _Generation(Extension):
    """`{% generation %}` marks answers for training; here it only shows what it encloses."""

    tags = {"generation"}  # noqa: RUF012 - as the base class declares it

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class ChatTemplate:
    """One compiled template; `characters` are those that it may write by itself."""

    def __init__(self, source: str, name: str, tokens: Mapping[str, str] | None = None) -> None:
        """`name` is where `source` stands, `tokens` are texts it may name (`bos_token`, ...).

        Raises ModelError when it is no template.
        """
        self._tokens = dict(tokens or {})
        self._takes_calls: dict[Shape, bool] = {}
        if len(source) > _LONGEST:
            raise ModelError(f"{name}: expected a chat template of at most {_LONGEST} characters")
        try:
            with bounded(seconds=_SECONDS, nbytes=_BYTES):
                self._template = _environment().from_string(source)
        except (TemplateError, RecursionError, TookTooMuch, SyntaxError, ValueError, OverflowError) as error:
            raise ModelError(
                f"{name}: expected a chat template that Jinja can read, which says: {library_reason(error)}"
            ) from error
        self.characters = frozenset(source).union(*self._tokens.values())

    @cached_property
    def tells_tools(self) -> bool:
        """Whether it has a place for tools, and tells the model to call them in the form we read."""
        function = {"name": _PROBE, "description": _PROBE, "parameters": {"type": "object", "properties": {}}}
        for content in ([{"type": "text", "text": "Hi"}], "Hi"):
            try:
                rendered = self.render(
                    [{"role": "user", "content": content}], [{"type": "function", "function": function}]
                )
            except InvalidParameter:
                continue
            if _PROBE in rendered:
                return CALL_BEGIN in rendered
        return False

    def takes_calls(self, shape: Shape) -> bool:
        """Whether it has places for calls that were made and for their results, in messages of this shape."""
        if shape not in self._takes_calls:
            name, key, value, result = _PROBES
            call = {"id": "0" * 9, "type": "function", "function": {"name": name, "arguments": {key: value}}}
            given = {"role": "tool", "tool_call_id": "0" * 9, "name": name}
            talk = [
                {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
                {"role": "assistant", "content": [], "tool_calls": [call]},
                {**given, "content": [{"type": "text", "text": result}]},
            ]
            with contextlib.suppress(InvalidParameter):
                rendered = self.render([shape(message) for message in talk])
                places = [rendered.find(probe) for probe in _PROBES]
                self._takes_calls[shape] = -1 not in places and "'type'" not in rendered
        return self._takes_calls.setdefault(shape, False)

    def render(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] = ()) -> str:
        """The prompt as text, up to where the answer begins; raises InvalidParameter.

        `messages`: `role` and `content`, a list of `{"type": "text", "text"}` and `{"type": "image"}`.
        `tools` as OpenAI's API has them.
        """
        try:
            with bounded(seconds=_SECONDS, nbytes=_BYTES):
                return self._template.render(
                    messages=messages,
                    tools=list(tools) or None,
                    documents=None,
                    add_generation_prompt=True,
                    **self._tokens,
                )
        except Exception as error:  # a template can raise whatever its expressions do
            raise InvalidParameter(
                "The model's chat template does not take these messages.",
                code="invalid_messages",
                param="messages",
            ) from error


def read_template(folder: ModelDir) -> ChatTemplate:
    """The template of a folder; raises ModelMissing when no file holds one, ModelError when it is not one."""
    return ChatTemplate(*_source(folder), _special_tokens(folder))


def _source(folder: ModelDir) -> tuple[str, str]:
    """The template and the file it stands in."""
    for name in _FILES:
        if not (folder.path / name).exists():
            continue
        if name.endswith(".jinja"):
            return folder.text(name), name
        found = folder.json(name).get("chat_template")
        if isinstance(found, list):  # several named templates
            named = {item.get("name"): item.get("template") for item in found if isinstance(item, dict)}
            found = named.get("default")
        if isinstance(found, str):
            return found, name
        if found is not None or name == "chat_template.json":
            raise ModelError(f"{name}: expected a text for 'chat_template'")
    raise ModelMissing(f"{folder.path / 'chat_template.json'}: file is missing")


def _special_tokens(folder: ModelDir) -> dict[str, str]:
    settings = folder.optional_json("tokenizer_config.json")
    made = {}
    for key in _TOKENS:
        value = settings.get(key)
        content = value.get("content") if isinstance(value, dict) else value
        if isinstance(content, str):
            made[key] = content
    return made


class _Environment(ImmutableSandboxedEnvironment):
    """Without the one operator that takes for ever in a single step, which nothing can interrupt."""

    intercepted_binops = frozenset({"**"})

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Powers of small numbers only."""
        if not (isinstance(right, int | float) and abs(right) <= _MOST_POWER and abs(left) <= _MOST_BASE):
            raise TemplateError("this power is too large")
        return super().call_binop(context, operator, left, right)


def _environment() -> ImmutableSandboxedEnvironment:
    made = _Environment(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols])
    made.filters["tojson"] = _tojson
    made.filters["round"] = _round
    made.globals["raise_exception"] = _raise
    made.globals["strftime_now"] = _now
    return made


def _tojson(
    value: Any, ensure_ascii: bool = False, indent: int | None = None, sort_keys: bool = False
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, sort_keys=sort_keys)


def _round(value: float, precision: int = 0, method: Literal["common", "ceil", "floor"] = "common") -> float:
    """Jinja's own takes a power of `precision`."""
    if abs(precision) > _MOST_POWER:
        raise TemplateError("this precision is too large")
    return do_round(value, precision, method)


def _raise(message: str) -> NoReturn:
    raise TemplateError(message)


def _now(layout: str) -> str:
    return datetime.now().strftime(layout)

"""The form of an answer that nothing holds the model to while it writes: told, checked, asked for again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from hailo_common.errors import InvalidParameter
from hailo_vision.api.json_mode import Mismatch, check_schema, correction, instruction, parse
from hailo_vision.api.tools.calls import checked
from hailo_vision.api.tools.declared import ToolUse
from hailo_vision.protocol import ChatMessage, VisionRequest

FAILED = "The model did not produce the JSON that response_format asks for, in two tries."
FAILED_CALL = "The model did not call a function as tools and tool_choice ask for, in two tries."


@dataclass(frozen=True)
class AnswerForm:
    """JSON, calls of tools, or either; `json` is a response format."""

    json: Mapping[str, Any] | None
    tools: ToolUse | None

    @property
    def failed(self) -> str:
        """What is said where the model does not keep to it."""
        return FAILED if self.tools is None else FAILED_CALL

    def told(self, request: VisionRequest) -> VisionRequest:
        """The request with the JSON asked for in words; tools are told elsewhere. Raises InvalidParameter."""
        messages = request.messages
        if self.json is not None and not (self.tools and self.tools.least):
            schema = self.json.get("schema")
            if schema is not None:
                check_schema(schema)
            *before, last = messages
            messages = (*before, replace(last, parts=(*last.parts, f"\n\n{instruction(schema)}")))
        return replace(request, messages=messages, response_format=None)

    def again(self, request: VisionRequest, answer: str, why: str) -> VisionRequest:
        """The request after an answer that cannot be used."""
        said = (ChatMessage("assistant", (answer,)), ChatMessage("user", (self._correction(why),)))
        return replace(request, messages=(*request.messages, *said))

    def _correction(self, why: str) -> str:
        if self.tools is None:
            return correction(why)
        return f"That answer cannot be used: {why}. Answer again, with nothing else."

    def read(self, text: str) -> str:
        """The answer in the form in which it is read on; raises Mismatch, or InvalidParameter."""
        if self.tools is not None:
            text, calls = checked(text, self.tools)
            if calls:
                return text
        return text if self.json is None else parse(text, self.json.get("schema"))


def first_reading(form: AnswerForm, text: str) -> tuple[str, str]:
    """The answer as it is read on, or why it cannot be used. A schema that is none counts at the end."""
    try:
        return form.read(text), ""
    except Mismatch as error:
        return "", str(error)


def last_reading(form: AnswerForm, text: str) -> str | None:
    """The answer as it is read on, None where it cannot be used."""
    try:
        return form.read(text)
    except (Mismatch, InvalidParameter):
        return None

"""A conversation as the chat template writes it, in which nothing that a client wrote spells a token."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hailo_common.errors import InvalidParameter
from hailo_vision.protocol import ChatMessage
from hailo_vision.text.template import ChatTemplate, Shape
from hailo_vision.text.tokens import SpecialTokenEscaper, texts_of
from hailo_vision.text.tool_turns import has_tool_turns, structured, worded


@dataclass(frozen=True)
class Rendered:
    """The `text` of a prompt, whose hidden characters `guard` restores; `images` are numbers, in order."""

    text: str
    guard: SpecialTokenEscaper
    images: list[int]

    def check_places(self, count: int) -> None:
        """Raise InvalidParameter where `count`, the places in the text, is not the number of images."""
        if count != len(self.images):
            raise InvalidParameter(
                "The model's chat template has no place for an image in one of these messages.",
                code="invalid_messages",
                param="messages",
            )


def render_messages(
    template: ChatTemplate,
    firsts: Iterable[str],
    messages: Sequence[ChatMessage],
    tools: Sequence[Mapping[str, Any]],
    shape: Shape = dict,
) -> Rendered:
    """The prompt as text, with the characters `firsts` of clients hidden; `tools` as `ChatTemplate.render`.

    Calls and results of tools are in the template's own form where it has one that is read here. Raises
    InvalidParameter when the template refuses the messages.
    """
    guard = SpecialTokenEscaper(firsts, template.characters, texts_of(messages, tools))
    hidden = guard.hide_all(tools)
    images = [part for message in messages for part in message.parts if isinstance(part, int)]
    if has_tool_turns(messages):
        if template.tells_tools and template.takes_calls(shape):
            # A template may still refuse these: results without calls, say, or arguments that are no object.
            with contextlib.suppress(InvalidParameter):
                own = [shape(message) for message in structured(messages, guard.hide_all)]
                return Rendered(template.render(own, hidden), guard, images)
        messages = worded(messages)
    shaped = [shape(message.for_template(guard.hide)) for message in messages]
    return Rendered(template.render(shaped, hidden), guard, images)

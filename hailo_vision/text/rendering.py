"""A conversation as the chat template writes it, in which nothing that a client wrote spells a token."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hailo_common.errors import InvalidParameter
from hailo_vision.protocol import ChatMessage
from hailo_vision.text.template import ChatTemplate
from hailo_vision.text.tokens import SpecialTokenEscaper, texts_of

Shape = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""A message in the form in which a template takes it."""


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

    Raises InvalidParameter when the template refuses the messages.
    """
    guard = SpecialTokenEscaper(firsts, template.characters, texts_of(messages, tools))
    shaped = [shape(message.for_template(guard.hide)) for message in messages]
    text = template.render(shaped, guard.hide_all(tools))
    images = [part for message in messages for part in message.parts if isinstance(part, int)]
    return Rendered(text, guard, images)

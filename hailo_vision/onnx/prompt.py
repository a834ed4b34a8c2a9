"""From messages to the ids of a whole prompt, with a place for every picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hailo_common.errors import InvalidParameter, ModelError
from hailo_common.inference.model_dir import ModelFolder
from hailo_vision.onnx.mrope import Place
from hailo_vision.onnx.preprocess import Shown
from hailo_vision.protocol import Message
from hailo_vision.text.template import read_template
from hailo_vision.text.tokens import Guard, Tokens


@dataclass(frozen=True)
class Prompt:
    """`pictures` stand at `places`; `ids` holds the image token once for each token that they take."""

    ids: list[int]
    places: tuple[Place, ...]
    pictures: tuple[Shown, ...]

    @property
    def length(self) -> int:
        """How many tokens it is."""
        return len(self.ids)

    @property
    def image_tokens(self) -> int:
        """How many of `ids` are of pictures."""
        return sum(picture.tokens for picture in self.pictures)


class Prompts:
    """Template and tokenizer of one model."""

    def __init__(self, folder: ModelFolder, image_token: int) -> None:
        """Raises ModelMissing or ModelError naming the file."""
        self.tokens = Tokens(folder)
        self._template = read_template(folder)
        self._image_token = image_token
        if image_token not in self.tokens.added.values():
            raise ModelError(
                f"tokenizer.json: expected an added token {image_token}, the 'image_token_id' of config.json"
            )

    def make(self, messages: Sequence[Message], pictures: Sequence[Shown]) -> Prompt:
        """The prompt of a conversation; `pictures` are those that the messages number.

        Raises InvalidParameter when the template refuses the messages or leaves out one of their pictures.
        """
        texts = [part for message in messages for part in message.parts if isinstance(part, str)]
        guard = Guard(self.tokens.firsts, self._template.characters, texts)
        rendered = self._template.render([message.for_template(guard.hide) for message in messages])
        ids = self.tokens.encode(rendered, guard.restored)
        numbers = [part for message in messages for part in message.parts if isinstance(part, int)]
        if ids.count(self._image_token) != len(numbers):
            raise InvalidParameter(
                "The model's chat template has no place for a picture in one of these messages.",
                code="invalid_messages",
                param="messages",
            )
        return self._expanded(ids, [pictures[number] for number in numbers])

    def _expanded(self, ids: list[int], pictures: Sequence[Shown]) -> Prompt:
        made: list[int] = []
        places: list[Place] = []
        for token in ids:
            if token == self._image_token:
                picture = pictures[len(places)]
                places.append(Place(len(made), picture.grid))
                made += [token] * picture.tokens
            else:
                made.append(token)
        return Prompt(made, tuple(places), tuple(pictures))

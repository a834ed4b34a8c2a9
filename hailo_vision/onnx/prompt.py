"""From messages to the ids of a whole prompt, with a place for every image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any

import numpy as np

from hailo_common.engine.contract import RgbImage
from hailo_common.errors import ModelError
from hailo_common.inference.model_dir import ModelDir
from hailo_vision.protocol import ChatMessage
from hailo_vision.text.rendering import render_messages
from hailo_vision.text.template import read_template
from hailo_vision.text.tokens import Tokens

Grid = tuple[int, int, int]
"""Patches of one image: in time, from top to bottom, from left to right."""


@dataclass(frozen=True, eq=False)
class ImageInput:
    """An image with its grid of patches and the number of tokens that it takes."""

    pixels: RgbImage
    grid: Grid
    tokens: int

    @cached_property
    def digest(self) -> bytes:
        """What only this image has, whoever sends it."""
        pixels = np.ascontiguousarray(self.pixels).data.cast("B")
        return blake2b(pixels, digest_size=20, salt=b"%dx%d" % self.grid[1:]).digest()


@dataclass(frozen=True)
class ImageSpan:
    """Where an image stands in a prompt: its first token, and its grid of patches before merging."""

    start: int
    grid: Grid

    def size(self, merge: int) -> tuple[int, int, int]:
        """The grid of tokens: in time, from top to bottom, from left to right."""
        return self.grid[0], self.grid[1] // merge, self.grid[2] // merge


@dataclass(frozen=True)
class Prompt:
    """`images` stand at `spans`; `ids` holds the image token once for each token that they take."""

    ids: list[int]
    spans: tuple[ImageSpan, ...]
    images: tuple[ImageInput, ...]

    @property
    def length(self) -> int:
        """How many tokens it is."""
        return len(self.ids)

    @property
    def image_tokens(self) -> int:
        """How many of `ids` are of images."""
        return sum(image.tokens for image in self.images)


class Prompts:
    """Template and tokenizer of one model."""

    def __init__(self, folder: ModelDir, image_token: int) -> None:
        """Raises ModelMissing or ModelError naming the file."""
        self.tokens = Tokens(folder)
        self._template = read_template(folder)
        self._image_token = image_token
        if image_token not in self.tokens.added.values():
            raise ModelError(
                f"tokenizer.json: expected an added token {image_token}, the 'image_token_id' of config.json"
            )

    @property
    def tells_tools(self) -> bool:
        """See `ChatTemplate.tells_tools`."""
        return self._template.tells_tools

    def make(
        self,
        messages: Sequence[ChatMessage],
        images: Sequence[ImageInput],
        tools: Sequence[Mapping[str, Any]] = (),
    ) -> Prompt:
        """The prompt of a conversation; `images` are those that the messages number, `tools` for a template
        that tells of them.

        Raises InvalidParameter when the template refuses the messages or leaves out one of their images.
        """
        made = render_messages(self._template, self.tokens.firsts, messages, tools)
        ids = self.tokens.encode(made.text, made.guard.restored)
        made.check_places(ids.count(self._image_token))
        return self._expanded(ids, [images[number] for number in made.images])

    def _expanded(self, ids: list[int], images: Sequence[ImageInput]) -> Prompt:
        expanded: list[int] = []
        spans: list[ImageSpan] = []
        for token in ids:
            if token == self._image_token:
                image = images[len(spans)]
                spans.append(ImageSpan(len(expanded), image.grid))
                expanded += [token] * image.tokens
            else:
                expanded.append(token)
        return Prompt(expanded, tuple(spans), tuple(images))

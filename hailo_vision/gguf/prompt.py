"""From messages to the tokens of a whole prompt, with what each image becomes in its place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hailo_common.engine.contract import RgbImage
from hailo_common.errors import InvalidParameter, ModelError
from hailo_common.inference.model_dir import ModelDir
from hailo_vision.gguf.header import Header
from hailo_vision.gguf.model import LanguageModel
from hailo_vision.gguf.tokens import GgufTokens
from hailo_vision.gguf.vision import ImagePart, Parts
from hailo_vision.protocol import ChatMessage
from hailo_vision.text.rendering import render_messages
from hailo_vision.text.template import ChatTemplate, read_template

_PLACES = re.compile(
    r"(?:<\|vision_start\|>)?<\|image_pad\|>(?:<\|vision_end\|>)?"  # Qwen2-VL, Qwen3-VL
    r"|\(<image>\./</image>\)"  # MiniCPM-V
    r"|<fake_token_around_image>(?:<global-img>)?<image>(?:<fake_token_around_image>)?"  # Idefics 3
    r"|<start_of_image>|<image>|<\|image\|>|\[IMG\]"  # Gemma 3, SmolVLM and LFM2-VL, others
)
"""What templates write for an image. libmtmd writes the marks around it by itself."""
_PLACE_FIRSTS = "<["
_PROBE = "\ue000probe\ue001"


@dataclass(frozen=True, eq=False)
class ImageInput:
    """An image, and what it becomes in a prompt."""

    pixels: RgbImage
    parts: Parts

    @cached_property
    def digest(self) -> bytes:
        """What only this image has, whoever sends it."""
        pixels = np.ascontiguousarray(self.pixels)
        salt = b"%dx%d" % pixels.shape[1::-1]
        return blake2b(pixels.data.cast("B"), digest_size=20, salt=salt[:16]).digest()


@dataclass(frozen=True, eq=False)
class ImageRun:
    """Cells of a prompt that are one part of an image: the `part`-th of `image`, from cell `start` on."""

    start: int
    image: ImageInput
    part: int

    @property
    def shape(self) -> ImagePart:
        """The part without embeddings."""
        shape = self.image.parts[self.part]
        assert isinstance(shape, ImagePart)
        return shape


@dataclass(frozen=True, eq=False)
class Prompt:
    """A prompt, cell by cell.

    `cells` (n,) are token ids, or numbers below 0 that only equal places of equal images share; `positions`
    (n,) where the text's count stands at each, `following` where it stands after all.
    """

    cells: NDArray[np.int64]
    positions: NDArray[np.int32]
    following: int
    runs: tuple[ImageRun, ...]
    images: tuple[ImageInput, ...]

    @property
    def length(self) -> int:
        """How many cells it takes."""
        return int(self.cells.size)

    @property
    def image_tokens(self) -> int:
        """How many of them are of images."""
        return sum(run.shape.count for run in self.runs)

    @property
    def ids(self) -> list[int]:
        """The tokens of text in it."""
        return [int(cell) for cell in self.cells if cell >= 0]


class Prompts:
    """Template and vocabulary of one model."""

    def __init__(self, folder: ModelDir, header: Header, model: LanguageModel) -> None:
        """Raises ModelMissing or ModelError when there is no template, or none that takes a message."""
        self.tokens = GgufTokens(header, model)
        self._template = _template(folder, header)
        self._first = model.first_token
        self._hidden = tuple({*self.tokens.firsts, *_PLACE_FIRSTS})
        self._as_list = self._takes_lists(header)

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
        made = render_messages(self._template, self._hidden, messages, tools, self._shaped)
        between = _PLACES.split(made.text)
        made.check_places(len(between) - 1)
        prompt = _Writer(self._first)
        for index, text in enumerate(between):
            prompt.write(self.tokens.encode(text, made.guard.restored))
            if index < len(made.images):
                prompt.draw(images[made.images[index]])
        return prompt.made()

    def trial(self, images: Sequence[ImageInput]) -> Prompt:
        """A prompt of these images and one token of text, without a template."""
        prompt = _Writer(self._first)
        for image in images:
            prompt.draw(image)
        prompt.write(self.tokens.marks[:1])
        return prompt.made()

    def _shaped(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        if self._as_list:
            return message
        texts = (part["text"] if part["type"] == "text" else "<image>" for part in message["content"])
        return {**message, "content": "".join(texts)}

    def _takes_lists(self, header: Header) -> bool:
        """Whether the template reads a message's parts; else it wants them as one text."""
        for content in ([{"type": "text", "text": _PROBE}], _PROBE):
            try:
                rendered = self._template.render([{"role": "user", "content": content}])
            except InvalidParameter:
                continue
            except MemoryError as error:
                raise ModelError(
                    f"{header.path}: its chat template wants more memory than there is"
                ) from error
            if _PROBE in rendered and "'type'" not in rendered:
                return isinstance(content, list)
        raise ModelError(f"{header.path}: expected a chat template that takes a message of the user")


class _Writer:
    """A prompt in the making."""

    def __init__(self, first: int | None) -> None:
        self._cells: list[int] = []
        self._positions: list[int] = []
        self._position = 0
        self._runs: list[ImageRun] = []
        self._images: list[ImageInput] = []
        self._first = first

    def write(self, ids: Iterable[int]) -> None:
        ids = list(ids)
        if self._first is not None and not self._cells and ids[:1] != [self._first]:
            ids.insert(0, self._first)
        self._cells += ids
        self._positions += range(self._position, self._position + len(ids))
        self._position += len(ids)

    def draw(self, image: ImageInput) -> None:
        self._images.append(image)
        cell = -1 - (int.from_bytes(image.digest[:5], "big") << 22)
        for number, part in enumerate(image.parts):
            if not isinstance(part, ImagePart):
                self.write(part)
                continue
            self._runs.append(ImageRun(len(self._cells), image, number))
            self._cells += range(cell, cell - part.count, -1)
            cell -= part.count
            steps = range(part.count) if part.places is None else [0] * part.count
            self._positions += (self._position + step for step in steps)
            self._position += part.advance

    def made(self) -> Prompt:
        return Prompt(
            np.array(self._cells, np.int64),
            np.array(self._positions, np.int32),
            self._position,
            tuple(self._runs),
            tuple(self._images),
        )


def _template(folder: ModelDir, header: Header) -> ChatTemplate:
    """The template beside the file where there is one, else the file's own."""
    if any((folder.path / name).exists() for name in ("chat_template.jinja", "chat_template.json")):
        return read_template(folder)
    source = header.text("tokenizer.chat_template", "")
    if not source:
        raise ModelError(f"{header.path}: the file has no chat template; put chat_template.jinja beside it")
    return ChatTemplate(source, str(header.path), _named(header))


def _named(header: Header) -> Mapping[str, str]:
    texts = header.listed("tokenizer.ggml.tokens", str)
    named = {}
    for name in ("bos", "eos", "unknown", "padding"):
        number = header.values.get(f"tokenizer.ggml.{name}_token_id")
        if isinstance(number, int) and number < len(texts):
            named[{"unknown": "unk", "padding": "pad"}.get(name, name) + "_token"] = texts[number]
    return named

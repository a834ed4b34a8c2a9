"""One planned request through the stages: images, prefill, answer, and what the caches gain.

Knows caches and stages; the decoding loop is `hailo_vision.onnx.generate`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from hailo_common.engine.contract import EngineStarted, Event
from hailo_common.inference.sampling import Logits
from hailo_common.owner import OwnedParts
from hailo_vision.onnx.cache import ConversationCache, FeatureCache, History, history
from hailo_vision.onnx.families.family import Family
from hailo_vision.onnx.generate import DecoderState, GenerationConfig, generate
from hailo_vision.onnx.prompt import ImageInput, Prompt
from hailo_vision.onnx.stages import Floats, Stages
from hailo_vision.protocol import VisionRequest, VisionResult
from hailo_vision.text.context_window import FittedPrompt
from hailo_vision.text.generation import GeneratedText, answer_writer
from hailo_vision.text.grammar import Constraint
from hailo_vision.text.tokens import Tokens

CHUNK = 128
"""Tokens of a prompt that the decoder reads at once."""


@dataclass(frozen=True)
class Model:
    """What all requests share; of the caches each owner has a part."""

    stages: Stages
    family: Family
    tokens: Tokens
    generation: GenerationConfig
    images: OwnedParts[FeatureCache]
    conversations: OwnedParts[ConversationCache]


class Generation:
    """One request, from its plan to its result; `began` is when it came, in seconds of `perf_counter`."""

    def __init__(
        self,
        model: Model,
        request: VisionRequest,
        plan: FittedPrompt[Prompt],
        constraint: Constraint | None,
        began: float,
    ) -> None:
        self._model, self._request, self._plan = model, request, plan
        self._constraint = constraint
        self._images = model.images.of(request.owner)
        self._conversations = model.conversations.of(request.owner)
        self._began = began
        self._marks = [
            (span.start, image.digest)
            for span, image in zip(plan.prompt.spans, plan.prompt.images, strict=True)
        ]
        ids = plan.prompt.ids
        past = self._conversations.find(self._history(ids), most=len(ids) - 1)
        past = past or model.stages.decoder.empty()
        self._state = DecoderState(model.stages.decoder, model.stages.embed, past, ids[: past.length])
        self._cached = past.length
        self._encoded = 0
        self._vision_seconds = self._prefill_seconds = 0.0
        self._first = 0.0
        self._logits: Logits = np.empty(0, np.float32)

    def events(self) -> Iterator[Event]:
        """See `OnnxVisionEngine.run`. Closing the iterator keeps what was computed for later requests."""
        answer, dropped, most = GeneratedText(), self._plan.dropped, self._plan.max_tokens
        loose = self._constraint is not None and self._constraint.loose
        yield EngineStarted(**self._counts(), dropped_messages=dropped, max_tokens=most, loose=loose)
        try:
            yield from self._texts(answer)
        finally:
            self._keep()
        yield self._result(answer)

    def _texts(self, answer: GeneratedText) -> Iterator[str]:
        features: dict[bytes, Floats] = {}
        for image in self._unread():
            if image.digest not in features:
                features[image.digest] = self._features(image)
                yield ""
        yield from self._prefill(features)
        generation, plan = self._model.generation, self._plan
        writer = answer_writer(
            self._request,
            self._model.tokens,
            plan.prompt.ids,
            self._constraint,
            answer,
            ends=generation.eos,
            max_tokens=plan.max_tokens,
            repetition=generation.repetition_penalty,
        )
        for text in generate(self._state, self._logits, writer, answer):
            self._first = self._first or perf_counter() - self._began
            yield text

    def _unread(self) -> list[ImageInput]:
        """The images whose features the decoder has not read to their end."""
        prompt = self._plan.prompt
        return [
            image
            for span, image in zip(prompt.spans, prompt.images, strict=True)
            if span.start + image.tokens > self._cached
        ]

    def _features(self, image: ImageInput) -> Floats:
        """Features (tokens, d) of an image, from the cache or the vision encoder."""
        began = perf_counter()
        features = self._images.get(image.digest)
        if features is None:
            features = self._model.stages.vision.encode(image.pixels)
            self._images.keep(image.digest, features)
            self._encoded += 1
        self._vision_seconds += perf_counter() - began
        return features

    def _prefill(self, features: dict[bytes, Floats]) -> Iterator[str]:
        """Read what the cached past lacks, a chunk at a time; leaves the scores of the answer's first token.

        What the decoder needs for the tokens that it reads at once grows with them, some of it with their
        square; and only between two chunks can a request be cancelled.
        """
        prompt, cached = self._plan.prompt, self._cached
        embedded = self._embedded(features)
        positions, following = self._model.family.token_positions(len(prompt.ids), prompt.spans)
        for start in range(cached, len(prompt.ids), CHUNK):
            if start > cached:
                yield ""
            began, chunk = perf_counter(), slice(start, start + CHUNK)
            part = embedded[:, start - cached : start - cached + CHUNK]
            self._logits = self._state.prefill(prompt.ids[chunk], part, positions[:, :, chunk], following)
            self._prefill_seconds += perf_counter() - began

    def _embedded(self, features: dict[bytes, Floats]) -> Floats:
        """What the decoder reads of the prompt after the cached past, images in their places; (1, n, d)."""
        began = perf_counter()
        prompt, cached = self._plan.prompt, self._cached
        embedded = self._model.stages.embed(prompt.ids[cached:])
        for span, image in zip(prompt.spans, prompt.images, strict=True):
            end = span.start + image.tokens
            if end > cached:
                skipped = max(0, cached - span.start)
                start = span.start + skipped - cached
                embedded[0, start : end - cached] = features[image.digest][skipped:]
        self._prefill_seconds = perf_counter() - began
        return embedded

    def _keep(self) -> None:
        """Give the conversation's past to the cache: only tokens that were really read."""
        if len(self._state.ids) > self._cached:
            self._conversations.keep(self._history(self._state.ids), self._state.past)

    def _history(self, ids: list[int]) -> History:
        return history(ids, self._marks)

    def _counts(self) -> dict[str, int]:
        prompt = self._plan.prompt
        return {
            "prompt_tokens": len(prompt.ids),
            "image_tokens": prompt.image_tokens,
            "cached_tokens": self._cached,
        }

    def _result(self, answer: GeneratedText) -> VisionResult:
        return VisionResult(
            text=answer.text,
            finish_reason=answer.finish_reason,
            completion_tokens=len(answer.tokens),
            **self._counts(),
            cached_images=len({digest for _, digest in self._marks}) - self._encoded,
            vision_seconds=self._vision_seconds,
            prefill_seconds=self._prefill_seconds,
            decode_seconds=answer.seconds,
            first_token_seconds=self._first,
        )

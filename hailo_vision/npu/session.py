"""One planned request through the chip: what is new of the prompt in, text out, and the context kept true."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter

from hailo_common.engine.contract import EngineStarted, Event
from hailo_vision.npu.chip import NpuChat, explained_errors
from hailo_vision.npu.completion import (
    CompletionReader,
    CompletionState,
    CompletionTimeouts,
    parameters,
    repetition,
)
from hailo_vision.npu.context import Context, Turn
from hailo_vision.npu.prompt import NpuPrompt, NpuPrompts
from hailo_vision.protocol import VisionRequest, VisionResult
from hailo_vision.text.context_window import FittedPrompt
from hailo_vision.text.tokens import StopStrings

log = logging.getLogger(__name__)

_NO_PENALTY = (None, 1.0)


@dataclass(frozen=True)
class ChatModel:
    """What all requests share; `ends` are the texts of tokens that end an answer."""

    chip: NpuChat
    prompts: NpuPrompts
    context: Context
    ends: frozenset[str]
    timeout_s: float
    """Longest wait for one token, and for each image and the text before the first one."""


class NpuGeneration:
    """One request, from its plan to its result; `began` is when it came, in seconds of `perf_counter`."""

    def __init__(
        self, model: ChatModel, request: VisionRequest, plan: FittedPrompt[NpuPrompt], began: float
    ) -> None:
        self._model, self._request, self._plan, self._began = model, request, plan, began
        alone = repetition(request.sampling) not in _NO_PENALTY
        self._turn: Turn = model.context.turn(plan.prompt, request.owner, alone=alone)
        self._state = CompletionState()
        self._vision_seconds = self._prefill_seconds = 0.0
        self._first = 0.0

    def events(self) -> Iterator[Event]:
        """See `ChipVisionEngine.run`. Closing the iterator ends the answer on the chip."""
        plan = self._plan
        dropped, most = plan.dropped, plan.max_tokens
        yield EngineStarted(**self._counts(), dropped_messages=dropped, max_tokens=most, loose=False)
        try:
            yield from self._texts()
        except GeneratorExit:
            self._model.chip.end_generation()
            raise
        # Only here: after a failure the answer is released by `close`, once the client has been told.
        self._model.chip.end_generation()
        yield self._result(self._completion_tokens())

    def _texts(self) -> Iterator[str]:
        turn, model, max_tokens = self._turn, self._model, self._plan.max_tokens
        began = perf_counter()
        completion = model.chip.generate(
            turn.text, turn.frames, parameters(self._request.sampling, max_tokens)
        )
        self._vision_seconds = perf_counter() - began
        reader = CompletionReader(model.prompts.specials.ids, model.ends, max_tokens)
        timeouts = CompletionTimeouts((2 + len(turn.frames)) * model.timeout_s, model.timeout_s)
        with explained_errors("reading the answer"):
            for text in reader.read(completion, StopStrings(self._request.stops), self._state, timeouts):
                if not self._first:
                    self._first = perf_counter() - self._began
                    self._prefill_seconds = perf_counter() - began - self._vision_seconds
                yield text

    def _completion_tokens(self) -> int:
        """Tokens of the answer: what the chip's context grew by, or those read where reading ended first."""
        state, length = self._state, self._plan.prompt.length
        if state.left:
            return state.chunks
        used = self._model.chip.usage()
        self._model.context.keep(self._plan.prompt, self._request.owner, state, used)
        tokens = used - length - state.surplus
        if tokens != state.chunks:
            log.warning("the chip counts %d tokens for an answer of %d", tokens, state.chunks)
        return tokens if 0 < tokens <= self._plan.max_tokens else state.chunks

    def _counts(self) -> dict[str, int]:
        prompt = self._plan.prompt
        return {
            "prompt_tokens": prompt.length,
            "image_tokens": prompt.image_tokens,
            "cached_tokens": self._turn.cached,
        }

    def _result(self, tokens: int) -> VisionResult:
        return VisionResult(
            text=self._state.text,
            finish_reason=self._state.finish_reason,
            completion_tokens=tokens,
            **self._counts(),
            cached_images=len(self._plan.prompt.images) - len(self._turn.frames),
            vision_seconds=self._vision_seconds,
            prefill_seconds=self._prefill_seconds,
            decode_seconds=max(0.0, perf_counter() - self._began - self._first),
            first_token_seconds=self._first,
        )

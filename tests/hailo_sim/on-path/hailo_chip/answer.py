"""The native object behind `LLMGeneratorCompletion`: an answer that the chip makes at its own pace.

Source: HailoRT's `llm_server.cpp`. The limit is tested before the stop sequences; after a cut the recovery
sequence follows, and the answer's end shows with its last token. Tokens are computed when they are read; when
each was ready follows from `Speed`.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections import deque
from typing import TYPE_CHECKING

from hailo_chip import faults, gil
from hailo_chip.choosing import Chooser, LLMGeneratorParams
from hailo_chip.enums import LLMGeneratorCompletionStatus as Status
from hailo_chip.settings import speed
from hailo_chip.statuses import HailoRTStatusException, failed

if TYPE_CHECKING:
    from hailo_chip.vlm import NativeVLM

_LONGEST_STOP = 50


class Answer:
    """One answer; `status` is that of the chunk read last, `_state` that of the last one made."""

    def __init__(
        self, model: NativeVLM, params: LLMGeneratorParams, chooser: Chooser, ids: list[int]
    ) -> None:
        self._model, self._params, self._chooser, self._ids = model, params, chooser, ids
        self._ready = time.monotonic() + speed().prefill_s
        self._tokens: list[int] = []
        self._recovery: deque[int] = deque()
        self._final = Status.GENERATING
        self._broken = False
        self._begun = False  # the chip works on the next token, and what it met with:
        self._failure: HailoRTStatusException | None = None
        self._state = self.status = Status.GENERATING
        self._queue: deque[tuple[str, Status]] = deque()
        self.released = False

    @property
    def ended(self) -> bool:
        """True when the chip makes no more tokens of this answer."""
        return self.released or self._broken or self.status is not Status.GENERATING

    def read(self, timeout_s: float) -> str:
        """The next chunk. Raises status 4 in time, 6 after the end and for any failure on the chip."""
        faults.point("LLMGeneratorCompletion.read")
        if self.status is not Status.GENERATING or self._broken:
            raise failed("INVALID_OPERATION")
        if not self._model.connection.alive:
            self._broken = True
            raise failed("INVALID_OPERATION")
        if self._queue:
            text, self.status = self._queue.popleft()
            return text
        if self._state is not Status.GENERATING:
            self._ready = math.inf  # the end was among the tokens that were lost
        else:
            self._begin()
        if self._ready > time.monotonic() + timeout_s:
            gil.hold(timeout_s)
            raise failed("TIMEOUT")
        gil.hold_until(self._ready)
        try:
            text = self._next()
        except HailoRTStatusException:
            self._broken = True
            raise failed("INVALID_OPERATION") from None
        self._ready += speed().token_s
        self.status = self._state
        self._drop()
        return text

    def _drop(self) -> None:
        """Tokens that found no room in the library's queue in time are lost, without a word."""
        pace = speed()
        full = self._ready + pace.queue_tokens * pace.token_s
        if not pace.token_s or time.monotonic() <= full + pace.queue_s:
            return
        while self._state is Status.GENERATING and (
            len(self._queue) < pace.queue_tokens or self._ready < time.monotonic()
        ):
            chunk = (self._next(), self._state)
            self._ready += pace.token_s
            if len(self._queue) < pace.queue_tokens:
                self._queue.append(chunk)

    def read_all(self, timeout_s: float) -> str:
        """All chunks that are left, within one deadline."""
        end = time.monotonic() + timeout_s
        text = ""
        while self.status is Status.GENERATING:
            text += self.read(max(0.0, end - time.monotonic()))
        return text

    def _begin(self) -> None:
        """The chip begins the next token; one that takes too long fails there."""
        if self._begun or self._recovery:
            return
        self._begun = True
        try:
            stall = faults.point("token" if self._tokens else "prefill")
        except HailoRTStatusException as error:
            self._failure = error
            return
        self._ready += min(stall, speed().give_up_s)
        if stall > speed().give_up_s:
            self._failure = failed("TIMEOUT")

    def _next(self) -> str:
        if self._recovery:
            token = self._recovery.popleft()
            self._state = Status.GENERATING if self._recovery else self._final
            return self._said(token)
        token = self._generated()
        if self._params.max_generated_tokens == 0:
            return ""
        return self._said(token)

    def _said(self, token: int) -> str:
        self._model.history.add(token)
        return self._model.words.chunk(token)

    def _generated(self, *, abort: bool = False) -> int:
        """Compute a token and what it means for the answer."""
        model = self._model
        self._begin()
        self._begun = False
        if self._tokens:
            self._raise_failure()
            scores = model.brain.step(self._tokens[-1])
        else:
            frames = model.take_frames(model.brain.count(self._ids))
            self._raise_failure()
            scores = model.brain.prefill(self._ids, frames)
            model.frames.clear()
        token = self._chooser.choose(scores, model.history)
        self._tokens.append(token)
        if len(self._tokens) >= self._params.max_generated_tokens:
            self._end(Status.MAX_TOKENS_REACHED)
        elif self._stopped():
            self._end(Status.LOGICAL_END_OF_GENERATION)
        elif abort:
            self._end(Status.ABORTED)
        return token

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _stopped(self) -> bool:
        recent = self._tokens[-_LONGEST_STOP:]
        return any(stop and recent[-len(stop) :] == stop for stop in self._model.stops)

    def _end(self, status: Status) -> None:
        model = self._model
        model.words.forget()
        self._final = status
        silent = self._params.max_generated_tokens == 0
        model.prefix = 0 if silent else 1
        if status is not Status.LOGICAL_END_OF_GENERATION and not silent:
            self._recovery.extend(model.recovery)
            model.prefix += len(model.recovery)
        self._state = Status.GENERATING if self._recovery else status

    def release(self) -> None:
        """End the answer; one that is still made is cut after the token in flight, which takes its time."""
        if self.released:
            return
        well = faults.logged("LLMGeneratorCompletion.release")
        self._destroy(well=well)

    def _destroy(self, *, well: bool = True) -> None:
        """The destructor aborts what is under way; where it cannot, a thread is left and C++ terminates."""
        under_way = self.status is Status.GENERATING
        if under_way and not (well and self._model.connection.alive):
            print(
                "[HailoRT] [critical] terminate called without an active exception",
                file=sys.stderr,
                flush=True,
            )
            os.abort()
        self._abort()
        self.released = True

    def _abort(self) -> None:
        """What the chip made until now counts; then the token in flight is the last."""
        if self.ended or not self._model.connection.alive:
            return
        began = time.monotonic()
        while self._state is Status.GENERATING and not self._recovery:
            self._begin()
            made_already = speed().token_s > 0 and self._ready <= began
            gil.hold_until(self._ready)
            try:
                token = self._generated(abort=not made_already)
            except HailoRTStatusException:
                return
            self._model.history.add(token)
            self._ready += speed().token_s
        self._model.history.update(self._recovery)

    def __del__(self) -> None:
        """Dropped unreleased: the destructor does the same."""
        if not self.released and not (sys.is_finalizing() and self._model.connection.alive):
            self._destroy()

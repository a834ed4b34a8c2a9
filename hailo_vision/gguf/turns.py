"""One request at work: what it has read of its prompt, what it has written of its answer."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from hailo_common.engine.contract import EngineStarted, Event
from hailo_common.inference.sampling import Logits
from hailo_vision.gguf.encoder import Encoded, ImageEncoder
from hailo_vision.gguf.model import Rows
from hailo_vision.gguf.prompt import ImageRun, Prompt
from hailo_vision.gguf.slots import Slot
from hailo_vision.gguf.tokens import GgufTokens
from hailo_vision.gguf.vision import ImagePart, Parts
from hailo_vision.protocol import VisionRequest, VisionResult
from hailo_vision.text.context_window import FittedPrompt
from hailo_vision.text.generation import GeneratedText, answer_writer
from hailo_vision.text.grammar import Constraint

_PLACED = 3  # of the four numbers of a position, those that count from the image's own


@dataclass(frozen=True)
class Vocabulary:
    """Tokens of the model, and those that end an answer."""

    tokens: GgufTokens
    ends: frozenset[int]


class Turn:
    """Reads its prompt cell by cell, then writes an answer token by token; see `rows` and `took`."""

    def __init__(
        self,
        request: VisionRequest,
        plan: FittedPrompt[Prompt],
        slot: Slot,
        vocabulary: Vocabulary,
        constraint: Constraint | None,
    ) -> None:
        """`slot` holds as much of the prompt as was known before."""
        self.slot = slot
        self._prompt, self._plan = plan.prompt, plan
        self._loose = constraint is not None and constraint.loose
        self._began = perf_counter()
        self._cached = len(slot.cells)
        self._answer = GeneratedText()
        self._writer = answer_writer(
            request,
            vocabulary.tokens,
            plan.prompt.ids,
            constraint,
            self._answer,
            ends=vocabulary.ends,
            max_tokens=plan.max_tokens,
        )
        self._awaited: dict[bytes, Future[Encoded]] = {}
        self._parts: dict[bytes, Parts] = {}
        self._encoded = 0
        self._vision_seconds = self._prefill_seconds = self._first = 0.0

    @property
    def reading(self) -> bool:
        """True until the whole prompt was read."""
        return self._at < self._prompt.length

    @property
    def awaited(self) -> Sequence[Future[Encoded]]:
        """Images that it waits for."""
        return list(self._awaited.values())

    @property
    def _at(self) -> int:
        return len(self.slot.cells)

    def started(self) -> EngineStarted:
        """What is known before anything is read."""
        dropped, most = self._plan.dropped, self._plan.max_tokens
        return EngineStarted(**self._counts(), dropped_messages=dropped, max_tokens=most, loose=self._loose)

    def see(self, encoder: ImageEncoder, owner: str) -> None:
        """Have those images encoded that the slot lacks."""
        for run in self._prompt.runs:
            digest = run.image.digest
            if run.start >= self._at and digest not in self._awaited:
                self._awaited[digest] = encoder.start(owner, run.image)

    def seen(self) -> int:
        """Take over images that are done, and say how many; raises what went wrong with one."""
        done = [digest for digest, future in self._awaited.items() if future.done()]
        for digest in done:
            self._parts[digest], seconds = self._awaited.pop(digest).result()
            self._vision_seconds += seconds
            self._encoded += seconds > 0
        return len(done)

    def rows(self, most: int) -> Rows | None:
        """The next rows that the model should read, about `most` of them; None while an image is missing."""
        if not self.reading:
            last = np.array([self._answer.tokens[-1]], np.int32)
            return self._rows(np.array([self._position()], np.int32), tokens=last, scored=True)
        run = next((run for run in self._prompt.runs if run.start <= self._at < _end(run)), None)
        if run is not None:
            return self._image_rows(run, most)
        stops = [run.start for run in self._prompt.runs if run.start > self._at]
        end = min([self._at + most, self._prompt.length, *stops])
        tokens = self._prompt.cells[self._at : end].astype(np.int32)
        positions = self._prompt.positions[self._at : end]
        return self._rows(positions, tokens=tokens, scored=end == self._prompt.length)

    def _image_rows(self, run: ImageRun, most: int) -> Rows | None:
        parts = self._parts.get(run.image.digest)
        if parts is None:
            return None
        part = parts[run.part]
        assert isinstance(part, ImagePart)
        assert part.embeddings is not None
        skipped = self._at - run.start
        end = min(part.count, skipped + most) if part.causal else part.count
        positions = self._prompt.positions[self._at : run.start + end]
        if part.places is not None:
            positions = part.places[:, skipped:end].copy()
            positions[:_PLACED] += self._prompt.positions[self._at]
        return self._rows(positions, embeddings=part.embeddings[skipped:end], causal=part.causal)

    def _rows(
        self,
        positions: np.ndarray[tuple[int, ...], np.dtype[np.int32]],
        *,
        tokens: np.ndarray[tuple[int, ...], np.dtype[np.int32]] | None = None,
        embeddings: np.ndarray[tuple[int, ...], np.dtype[np.float32]] | None = None,
        scored: bool = False,
        causal: bool = True,
    ) -> Rows:
        count = positions.shape[-1]
        marks = np.zeros(count, np.int8)
        marks[-1] = scored
        return Rows(
            positions=positions,
            slots=np.full(count, self.slot.number, np.int32),
            scored=marks,
            tokens=tokens,
            embeddings=embeddings,
            causal=causal,
        )

    def took(self, rows: Rows, logits: Logits | None, seconds: float) -> list[Event]:
        """Note that the model has read `rows`; what is to be told then. `logits` follow the last row."""
        if self.reading:
            self._prefill_seconds += seconds
            start = self._at
            end = start + rows.slots.size
            self.slot.add(self._prompt.cells[start:end].tolist(), self._prompt.positions[start:end].tolist())
        else:
            self._answer.seconds += seconds
            self.slot.add([self._answer.tokens[-1]], [self._position()])
        if logits is None:
            return []
        text = self._writer.take(logits)
        self._first = self._first or perf_counter() - self._began
        return [text, self._result()] if self._writer.done else [text]

    def _position(self) -> int:
        return self._prompt.following + self._at - self._prompt.length

    def _counts(self) -> dict[str, int]:
        return {
            "prompt_tokens": self._prompt.length,
            "image_tokens": self._prompt.image_tokens,
            "cached_tokens": self._cached,
        }

    def _result(self) -> VisionResult:
        answer = self._answer
        return VisionResult(
            text=answer.text,
            finish_reason=answer.finish_reason,
            completion_tokens=len(answer.tokens),
            **self._counts(),
            cached_images=len({image.digest for image in self._prompt.images}) - self._encoded,
            vision_seconds=self._vision_seconds,
            prefill_seconds=self._prefill_seconds,
            decode_seconds=answer.seconds,
            first_token_seconds=self._first,
        )


def _end(run: ImageRun) -> int:
    return run.start + run.shape.count

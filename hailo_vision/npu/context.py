"""What stands in the chip's one context, and whether a conversation may go on from it.

Everything else is forgotten before a request is read. The chip itself can neither go back in a conversation
nor say what it remembers, so a request goes on only where its text begins with all that was read and
answered, its images are the same pixels, and the chip counts as many tokens as that makes.
"""

from __future__ import annotations

from dataclasses import dataclass

from hailo_vision.npu.chip import NpuChat
from hailo_vision.npu.completion import CompletionState
from hailo_vision.npu.frames import Frame
from hailo_vision.npu.prompt import NpuPrompt, NpuPrompts


@dataclass(frozen=True)
class Turn:
    """What the chip is given of a prompt; `cached` of its tokens are there already."""

    text: str
    frames: tuple[Frame, ...]
    cached: int


@dataclass(frozen=True)
class _Known:
    """A conversation of one owner up to the end of an answer; `tokens` as the chip counts them."""

    owner: str
    text: str
    end: str
    images: tuple[bytes, ...]
    tokens: int


class Context:
    """The context of one loaded model; `keeps=False` forgets every conversation."""

    def __init__(self, chip: NpuChat, prompts: NpuPrompts, *, keeps: bool) -> None:
        self._chip = chip
        self._prompts = prompts
        self._keeps = keeps
        self._known: _Known | None = None

    def turn(self, prompt: NpuPrompt, owner: str, *, alone: bool) -> Turn:
        """What is left to read of a prompt. Clears the context unless the owner's conversation goes on.

        `alone` forbids that: with a penalty on what was said the chip would count earlier answers, too.
        """
        known, self._known = self._known, None
        if known is not None and known.owner == owner and not alone and self._goes_on(known, prompt):
            # The token that ended the answer was chosen and never read: HailoRT would leave it out.
            rest = known.end + prompt.text[len(known.text) :]
            frames = prompt.images[len(known.images) :]
            if self._prompts.places(rest) == len(frames):
                return Turn(rest, frames, known.tokens - 1)
        self._chip.clear()
        return Turn(prompt.text, prompt.images, 0)

    def keep(self, prompt: NpuPrompt, owner: str, state: CompletionState, tokens: int) -> None:
        """Remember a finished answer, the context then holding `tokens`; others cannot be gone on from."""
        if self._keeps and state.whole:
            text = prompt.text + state.raw + state.end
            self._known = _Known(owner, text, state.end, _digests(prompt.images), tokens)

    def _goes_on(self, known: _Known, prompt: NpuPrompt) -> bool:
        if not prompt.text.startswith(known.text) or prompt.text == known.text:
            return False
        if _digests(prompt.images)[: len(known.images)] != known.images:
            return False
        # An answer's tokens may be others than those that its text makes; then reading it anew is the truth.
        return self._prompts.count(known.text) == known.tokens == self._chip.usage()


def _digests(frames: tuple[Frame, ...]) -> tuple[bytes, ...]:
    return tuple(frame.digest for frame in frames)

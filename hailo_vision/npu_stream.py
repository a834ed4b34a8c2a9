"""One answer read from the chip, chunk by chunk: clean text, and how it ended.

A chunk is one token: possibly empty while a character is incomplete, possibly the text of a special token.
After an answer that was cut come chunks of a recovery sequence, which are no part of it. Source:
`LLMServer::handle_read_request` and `handle_generation_completion`, HailoRT 5.1.1 and 5.2.0.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from hailo_common.npu.types import Completion
from hailo_vision.stops import Stops

GENERATING, ENDED = "GENERATING", "LOGICAL_END_OF_GENERATION"


@dataclass
class Spoken:
    """An answer in the making.

    `text` is what may be shown, `raw` all that the model wrote, `end` the token that ended it; `chunks`
    counts tokens of the answer and `surplus` those after its last one.
    """

    text: str = ""
    raw: str = ""
    end: str = ""
    chunks: int = 0
    surplus: int = 0
    finish_reason: str = "length"
    whole: bool = field(default=False)
    """True when the model ended by itself and `raw` is exactly what stands in its context."""


@dataclass(frozen=True)
class Patience:
    """The longest wait for a chunk, in seconds: the first one comes after the whole prompt was read."""

    first_s: float
    next_s: float


class Speech:
    """Reads one completion. `specials` are the texts of special tokens, `ends` those that end an answer."""

    def __init__(self, specials: Collection[str], ends: Collection[str], longest: int) -> None:
        self._specials, self._ends = frozenset(specials), frozenset(ends)
        self._longest = longest
        self._hidden = False

    def read(self, completion: Completion, stops: Stops, spoken: Spoken, patience: Patience) -> Iterator[str]:
        """Read to the end or to a stop string, filling `spoken`; yields what each chunk adds.

        After a stop string the chip still writes: release the completion. Raises HailoRT's exceptions.
        """
        wait_s = patience.first_s
        while True:
            chunk = completion.read(timeout_ms=max(1, round(wait_s * 1000)))
            wait_s = patience.next_s
            status = str(completion.generation_status.name)
            if spoken.chunks == self._longest:
                spoken.surplus += 1
            else:
                yield self._take(chunk, stops, spoken)
            if stops.stopped:
                spoken.finish_reason = "stop"
                return
            if status != GENERATING:
                break
        held = stops.end()
        spoken.text += held
        spoken.finish_reason = "stop" if spoken.end or status == ENDED else "length"
        spoken.whole = bool(spoken.end) and status == ENDED and not self._hidden
        yield held

    def _take(self, chunk: str, stops: Stops, spoken: Spoken) -> str:
        """What one token of the answer adds to the text."""
        spoken.chunks += 1
        spoken.end = chunk if chunk in self._ends else ""
        if spoken.end:
            return ""
        if chunk in self._specials:
            self._hidden = True
            return ""
        spoken.raw += chunk
        shown = stops.add(chunk)
        spoken.text += shown
        return shown

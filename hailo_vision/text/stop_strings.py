"""Stop strings, found wherever tokens cut them."""

from __future__ import annotations

from collections.abc import Sequence


class StopStrings:
    """Lets the text of one answer through up to the first stop string.

    Text that may be the beginning of one is held back until what follows decides. When several end with the
    same piece, the one that begins first wins.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.stopped = False

    def add(self, text: str) -> str:
        """What may be shown now that `text` has come; sets `stopped` when a stop string is complete."""
        if not self._stops or self.stopped:
            return "" if self.stopped else text
        self._held += text
        found = [place for stop in self._stops if (place := self._held.find(stop)) >= 0]
        if found:
            self.stopped = True
            shown, self._held = self._held[: min(found)], ""
            return shown
        return self._release(len(self._held) - max(self._overlap(stop) for stop in self._stops))

    def end(self) -> str:
        """What was held back, now that nothing follows."""
        return self._release(len(self._held))

    def _overlap(self, stop: str) -> int:
        """How many characters at the end of the held text are the beginning of `stop`."""
        longest = min(len(stop) - 1, len(self._held))
        return next((n for n in range(longest, 0, -1) if stop.startswith(self._held[-n:])), 0)

    def _release(self, length: int) -> str:
        shown, self._held = self._held[:length], self._held[length:]
        return shown

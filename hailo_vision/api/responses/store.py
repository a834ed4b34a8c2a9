"""Answers that a later request may go on from: a bounded number, in memory, each owner's his own.

Texts lie in the HTTP process, images in memfds. A restart forgets all of them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from hailo_common.images.decoder import EncodedImage
from hailo_common.owner import OwnedParts, owner
from hailo_common.resources import Closeable
from hailo_vision.protocol import ChatMessage

LIMIT = 32 * 1024 * 1024
"""Bytes of all that is kept; text counts eightfold, since the process that holds it is to stay small."""
MOST_IMAGES = 64
"""Of each owner: every one takes a file descriptor."""
_TEXT_COST = 8


@dataclass
class StoredResponse(Closeable):
    """The conversation up to an answer and with it, its images, and the answer as it was given, as JSON."""

    messages: tuple[ChatMessage, ...]
    images: Sequence[EncodedImage]
    answer: bytes

    @property
    def held(self) -> int:
        """What it counts for."""
        texts = (part for message in self.messages for part in message.parts if isinstance(part, str))
        text = sum(len(each.encode("utf-8", "surrogatepass")) for each in texts) + len(self.answer)
        return text * _TEXT_COST + sum(image.size for image in self.images)

    def close(self) -> None:
        """Close the images. May be called twice."""
        for image in self.images:
            image.close()


class OwnedResponses:
    """One owner's answers by their ids, the oldest use first; see `hailo_common.owner.Bounded`."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = self._images = 0
        self._items: OrderedDict[str, tuple[StoredResponse, int]] = OrderedDict()

    def get(self, response_id: str) -> StoredResponse | None:
        """The answer of that id, which counts as used now."""
        if response_id not in self._items:
            return None
        self._items.move_to_end(response_id)
        return self._items[response_id][0]

    def put(self, response_id: str, stored: StoredResponse) -> None:
        """Keep an answer; one that is too large is closed."""
        held = stored.held
        if held > self.limit or len(stored.images) > MOST_IMAGES:
            stored.close()
            return
        self._items[response_id] = stored, held
        self.held += held
        self._images += len(stored.images)
        while self._images > MOST_IMAGES:
            self.drop(next(iter(self._items)))
        self.shrink(self.limit)

    def drop(self, response_id: str) -> bool:
        """Forget an answer; whether it was there."""
        stored, held = self._items.pop(response_id, (None, 0))
        if stored is None:
            return False
        self.held -= held
        self._images -= len(stored.images)
        stored.close()
        return True

    def shrink(self, nbytes: int) -> None:
        """See `Bounded`."""
        while self.held > max(0, nbytes):
            self.drop(next(iter(self._items)))

    def resize(self, limit: int) -> None:
        """See `Bounded`."""
        self.limit = limit
        self.shrink(limit)


class ResponseStore:
    """What is kept for whoever asks now."""

    def __init__(self) -> None:
        self._parts = OwnedParts(LIMIT, OwnedResponses)

    @property
    def mine(self) -> OwnedResponses:
        """The part of the owner of this request."""
        return self._parts.of(owner.get())

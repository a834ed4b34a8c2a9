"""Answers that a later request may go on from: a bounded number, in memory, each owner's his own.

Texts lie in the HTTP process, images in memfds. A restart forgets all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hailo_common.images.decoder import EncodedImage
from hailo_common.owner import OwnedParts, Store, owner
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
        texts = (text for message in self.messages for text in message.texts)
        text = sum(len(each.encode("utf-8", "surrogatepass")) for each in texts) + len(self.answer)
        return text * _TEXT_COST + sum(image.size for image in self.images)

    def close(self) -> None:
        """Close the images. May be called twice."""
        for image in self.images:
            image.close()


class OwnedResponses(Store[str, StoredResponse]):
    """One owner's answers by their ids, in bytes and in number of images; what is forgotten is closed."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self._images = 0

    def keep(self, response_id: str, stored: StoredResponse) -> None:
        """Keep an answer; one that is too large is closed."""
        held = stored.held
        if held > self.limit or len(stored.images) > MOST_IMAGES:
            stored.close()
            return
        self._images += len(stored.images)
        self.put(response_id, stored, held)
        while self._images > MOST_IMAGES:
            self.drop_oldest()

    def drop(self, key: str) -> StoredResponse | None:
        """See `Store.drop`; the answer is closed."""
        stored = super().drop(key)
        if stored is not None:
            self._images -= len(stored.images)
            stored.close()
        return stored


class ResponseStore:
    """What is kept for whoever asks now."""

    def __init__(self) -> None:
        self._parts = OwnedParts(LIMIT, OwnedResponses)

    @property
    def mine(self) -> OwnedResponses:
        """The part of the owner of this request."""
        return self._parts.of(owner.get())

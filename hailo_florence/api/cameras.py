"""The last described picture of each camera: while nothing changes in it, its answer is given again."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from hailo_common.images.scene import FollowedScene
from hailo_common.owner import OwnedParts, Store, owner
from hailo_florence.api.replies import Reply

MOST_SCENES = 64
"""Of all owners together: each takes about 0.2 MB."""


@dataclass(frozen=True)
class Described:
    """A scene, and what was answered about it when, on the monotonic clock."""

    scene: FollowedScene
    reply: Reply
    at: float


class Cameras:
    """What was described lately, by camera and by what was asked, for each owner apart."""

    def __init__(self, keep_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """An answer is given again for `keep_s` seconds; 0 keeps none."""
        self._keep_s, self._clock = keep_s, clock
        # Counted in scenes, not bytes: all are of one size.
        self._scenes: OwnedParts[Store[Hashable, Described]] = OwnedParts(MOST_SCENES, Store)

    def find(self, key: Hashable) -> Described | None:
        """What was described last of a camera, unless that is too long ago."""
        scenes = self._scenes.of(owner.get())
        found = scenes.get(key)
        if found is not None and self._clock() - found.at >= self._keep_s:
            scenes.drop(key)
            return None
        return found

    def keep(self, key: Hashable, frame: bytes, reply: Reply) -> None:
        """Remember an answer about a frame (see `hailo_common.images.scene.FRAME`)."""
        if self._keep_s:
            self._scenes.of(owner.get()).put(key, Described(FollowedScene(frame), reply, self._clock()), 1)

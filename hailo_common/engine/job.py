"""One request on its way through the engine process, as the parent sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from hailo_common import errors
from hailo_common.channel import Message
from hailo_common.engine.contract import Event


class PictureHandle(Protocol):
    """A decoded picture in a memfd that the HTTP process forwards and never maps; it stays its maker's."""

    @property
    def fd(self) -> int:
        """The memfd: height * width * 3 bytes of RGB."""
        ...

    @property
    def height(self) -> int:
        """Rows."""
        ...

    @property
    def width(self) -> int:
        """Columns."""
        ...


@dataclass(eq=False)
class Job:
    """A request with the events that come back. Their number is bounded by the request's token limit."""

    request: Mapping[str, Any]
    pictures: Sequence[PictureHandle]
    request_id: str
    stream: bool
    number: int = 0
    cancelled: bool = False
    events: asyncio.Queue[Event | errors.ServiceError] = field(default_factory=asyncio.Queue)

    def to_message(self) -> Message:
        """The message that starts this job in the engine process."""
        return {
            "run": self.number,
            "request": dict(self.request),
            "request_id": self.request_id,
            "stream": self.stream,
            "shapes": [[picture.height, picture.width] for picture in self.pictures],
        }

    def take(self, message: Message) -> bool:
        """File a message of the engine process; True when it ends this job."""
        if message.get("job") != self.number:
            return False
        if "event" in message:
            self.events.put_nowait(message["event"])
            return False
        if "result" in message:
            self.events.put_nowait({"result": message["result"]})
        elif "error" in message:
            self.fail(error_from_json(message["error"]))
        return True

    def fail(self, error: errors.ServiceError) -> None:
        """End the job with an error."""
        self.events.put_nowait(error)


def error_from_json(value: Mapping[str, Any]) -> errors.ServiceError:
    """Rebuild the error that `hailo_common.engine.child.error_to_json` wrote."""
    kind = getattr(errors, value["kind"], errors.EngineFailed)
    if not (isinstance(kind, type) and issubclass(kind, errors.ServiceError)):
        kind = errors.EngineFailed
    return kind(value["message"], code=value["code"], param=value["param"], retry_after=value["retry_after"])

"""One request on its way through the engine process, as the parent sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from hailo_common import errors
from hailo_common.engine.contract import EngineRequest, EngineStarted
from hailo_common.ipc.messages import Message


class ImageHandle(Protocol):
    """A decoded image in a memfd that the HTTP process forwards and never maps; it stays its maker's."""

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


OnEnd = Callable[[], None]
MOST_TEXT = 8 * 1024 * 1024
"""Characters of one answer: the longest that may be asked for has 32,768 tokens of at most 256."""


@dataclass(eq=False)
class Job:
    """A request with what comes back. The number of texts is bounded by the request's token limit.

    `on_end` is called once when the engine has nothing more to do for it, whether or not anybody has read all
    texts by then.
    """

    request: EngineRequest
    images: Sequence[ImageHandle]
    request_id: str
    stream: bool
    number: int = 0
    cancelled: bool = False
    on_end: OnEnd | None = None
    started: EngineStarted | None = None
    result: Mapping[str, Any] | None = None
    _texts: list[str] = field(default_factory=list)
    _length: int = 0
    _unread: bool = False
    _error: errors.ServiceError | None = None
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def to_message(self) -> Message:
        """The message that starts this job in the engine process."""
        return {
            "run": self.number,
            "request": self.request.to_json(),
            "request_id": self.request_id,
            "stream": self.stream,
            "shapes": [[image.height, image.width] for image in self.images],
        }

    def take(self, message: Message) -> bool:
        """File a message of the engine process; True when it ends this job."""
        if message.get("job") != self.number:
            return False
        self._check(message)
        self._unread |= "error" not in message
        self._news.set()
        if "texts" in message:
            self._texts += message["texts"]
            return False
        if "started" in message:
            self.started = EngineStarted(**message["started"])
            return False
        if "result" in message:
            self.result = message["result"]
        elif "error" in message:
            self.fail(error_from_json(message["error"]))
        self.end()
        return True

    def _check(self, message: Message) -> None:
        """Raise ValueError for what no engine sends: its process is not to be believed any more."""
        texts = message.get("texts", [])
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise ValueError("texts that are none")
        self._length += sum(map(len, texts))
        if self._length > MOST_TEXT:
            raise ValueError("more text than an answer has")
        for key in ("result", "error", "started"):
            if not isinstance(message.get(key, {}), dict):
                raise ValueError(f"{key} that is none")

    async def news(self) -> list[str]:
        """Wait until the engine has told something: all texts since the last call.

        None of them when it has only begun, or when `result` is there. Raises the job's error after them.
        """
        if self._news.is_set():
            # A stream that never has to wait would keep everybody else waiting.
            await asyncio.sleep(0)
        await self._news.wait()
        if self._error is not None and not self._unread:
            raise self._error
        if self._error is None and self.result is None:
            self._news.clear()
        self._unread = False
        texts, self._texts = self._texts, []
        return texts

    def fail(self, error: errors.ServiceError) -> None:
        """End the job with an error; the first one counts."""
        self._error = self._error or error
        self._news.set()
        self.end()

    def end(self) -> None:
        """Tell, once, that the engine is free again."""
        on_end, self.on_end = self.on_end, None
        if on_end is not None:
            on_end()


def error_from_json(value: Mapping[str, Any]) -> errors.ServiceError:
    """Rebuild the error that `hailo_common.engine.child.error_to_json` wrote."""
    kind = getattr(errors, str(value["kind"]), errors.EngineFailed)
    if not (isinstance(kind, type) and issubclass(kind, errors.ServiceError)):
        kind = errors.EngineFailed
    return kind(value["message"], code=value["code"], param=value["param"], retry_after=value["retry_after"])

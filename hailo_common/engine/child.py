"""The engine process: loads one engine, answers requests, stops between tokens when told.

Run by `hailo_common.engine.supervisor` as `python -m hailo_common.engine.child`. No HTTP, no asyncio.
"""

from __future__ import annotations

import logging
import mmap
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hailo_common.engine.contract import (
    ConcurrentEngine,
    Engine,
    EngineResult,
    EngineStarted,
    Event,
    HasChosen,
    RgbImage,
)
from hailo_common.engine.prepared import named, prepared
from hailo_common.engine.pulse import Pulse
from hailo_common.errors import DeviceLost, EngineFailed, ModelError, ModelMissing, ServiceError
from hailo_common.ipc.messages import Channel, Message, child_channel, close_fds
from hailo_common.ipc.walls import for_engine
from hailo_common.npu.device_nodes import device_nodes, sysroot
from hailo_common.npu.library import use_library
from hailo_common.systemd.logging import setup_logging
from hailo_common.systemd.record import request_id

log = logging.getLogger(__name__)

EXIT_LOAD_FAILED = 3
EXIT_DEVICE_LOST = 4
_kept: list[Engine | HasChosen] = []
"""Never collected: what an engine could not release goes with the process, in no order of Python's."""
TOGETHER_S = 0.001
_MAX_TOGETHER = 64
_EXPECTED = (ModelError, ModelMissing, DeviceLost)
"""What an engine may say when it cannot load; subclasses go by the name of these."""


def main() -> int:
    """Serve the parent until it says stop or goes away; returns the exit status."""
    channel = child_channel()
    os.dup2(2, 1)
    start, _ = channel.receive()
    setup_logging(start["service"], start["log_level"])
    use_library(start["options"].get("hailort_python_path", ""))
    try:
        made = prepared(start["prepare"], start["options"])
    except Exception as error:
        _report_load_failure(channel, error)
        return EXIT_LOAD_FAILED
    _wall_off(start["options"].get("model_dir", ""), made.readable)
    engine = _make_engine(start["factory"], made.options)
    try:
        loaded = engine.load()
    except Exception as error:
        _report_load_failure(channel, error)
        engine.close()
        return EXIT_LOAD_FAILED
    try:
        channel.send({"loaded": loaded.to_json()})
        return _serve(channel, engine)
    except (EOFError, BrokenPipeError):
        return 0
    finally:
        engine.close()


def _wall_off(model_dir: str, more: Sequence[str]) -> None:
    """Before any thread and any native library is there."""
    folder = Path(os.path.realpath(model_dir))
    blobs = [str(folder.parent.parent / "blobs")] if folder.parent.name == "snapshots" else []
    devices = [str(node) for node in device_nodes()] + [str(sysroot())] * (str(sysroot()) != "/")
    missing = for_engine([str(folder), *blobs, *more] if model_dir else [], devices)
    if missing:
        log.warning("the engine is less confined than it should be: %s", "; ".join(missing))


def _make_engine(factory: str, options: Mapping[str, Any]) -> Engine | HasChosen:
    engine: Engine | HasChosen = named(factory)(options)
    _kept.append(engine)
    return engine


def _report_load_failure(channel: Channel, error: Exception) -> None:
    kinds = (kind.__name__ for kind in _EXPECTED if isinstance(error, kind))
    kind = next(kinds, "")
    if not kind:
        log.error("the model could not be loaded", exc_info=error)
    reason = str(error) if kind else f"{type(error).__name__} while loading the model (see the log)"
    failure = {"kind": kind or type(error).__name__, "reason": reason, "code": getattr(error, "code", "")}
    channel.send({"load_failed": failure})


def _serve(channel: Channel, engine: Engine | ConcurrentEngine | HasChosen) -> int:
    chosen: Any = getattr(engine, "chosen", engine)
    several: ConcurrentEngine = chosen if hasattr(chosen, "begin") else OneAtATime(chosen)
    server = _Server(channel, several, getattr(engine, "vitals", dict))
    try:
        return server.serve()
    finally:
        server.close()


class _Server:
    """Requests in the engine, and what comes of them to the parent."""

    def __init__(
        self, channel: Channel, engine: ConcurrentEngine, vitals: Callable[[], dict[str, Any]]
    ) -> None:
        self._channel, self._engine, self._vitals = channel, engine, vitals
        self._runs: dict[int, _Run] = {}
        self._lost = False
        self._slowest_s = 0.0
        self._pulse = Pulse(channel, lambda: bool(self._runs))

    def serve(self) -> int:
        """Until the parent says stop, or a device is lost; returns the exit status."""
        while True:
            received = self._channel.receive_waiting() if self._runs else self._channel.receive()
            if received is not None:
                if not self._handle(*received):
                    return EXIT_DEVICE_LOST if self._lost else 0
            elif not self._advance():
                return EXIT_DEVICE_LOST

    def close(self) -> None:
        """End answers that nobody wants any more, so that the engine has nothing under way."""
        for number in list(self._runs):
            self._drop(number)

    def _handle(self, message: Message, fds: list[int]) -> bool:
        """False when the parent gives up the engine, or ending a request or a reading finds the device lost.

        What is lost on begin ends with the next step.
        """
        if "run" in message:
            self._begin(message, fds)
            return True
        close_fds(fds)
        if "ping" in message:
            self._channel.send({"pong": message["ping"], "slowest_s": self._slowest_s})
        elif "read" in message:
            self._read_device()
        elif message.get("cancel") in self._runs and self._drop(message["cancel"]):
            self._channel.send({"cancelled": True, "job": message["cancel"]})
        return "stop" not in message and not self._lost

    def _read_device(self) -> None:
        """Not every engine has a device to read, and none has time for it at work."""
        request_id.set("")
        try:
            self._channel.send({"vitals": {} if self._runs else self._vitals()})
        except DeviceLost as error:
            log.error("the device was lost while nothing was asked of it", exc_info=error)
            self._lost = True
            self._channel.send({"error": error_to_json(error)})

    def _begin(self, message: Message, fds: list[int]) -> None:
        number = message["run"]
        request_id.set(message.get("request_id", ""))
        run = self._runs[number] = _Run(self._channel, message)
        self._pulse.begin()
        try:
            images = run.map(fds, message["shapes"])
            request = self._engine.request_type.from_json(message["request"])
            self._engine.begin(number, request, images)
        except Exception as error:
            run.failed = error

    def _advance(self) -> bool:
        """One step for all requests; False when the device is lost and the process must be replaced."""
        early = [(number, run.failed) for number, run in self._runs.items() if run.failed is not None]
        began = time.monotonic()
        try:
            events = early or self._engine.advance()
        except Exception as error:
            events = [(number, error) for number in self._runs]
        self._slowest_s = max(self._slowest_s, time.monotonic() - began)
        for number, event in events:
            run = self._runs[number]
            request_id.set(run.request_id)
            if isinstance(event, Exception):
                self._runs.pop(number)
                if not run.fail(event):
                    return False
            elif run.tell(event):
                self._runs.pop(number).close()
        return True

    def _drop(self, number: int) -> bool:
        """Give up a request; False when that failed, which its job is told."""
        run = self._runs.pop(number)
        try:
            self._engine.cancel(number)
        except Exception as error:
            self._lost = not run.fail(error)
            return False
        run.close()
        return True


class _Run:
    """One request in the engine: its images in shared memory, and what is told of it."""

    def __init__(self, channel: Channel, message: Message) -> None:
        self._channel = channel
        self._job = message["run"]
        self._outbox = _Outbox(channel, self._job) if message.get("stream", False) else None
        self._began = time.perf_counter()
        self.request_id = str(message.get("request_id", ""))
        self.failed: Exception | None = None

    def map(self, fds: list[int], shapes: Sequence[Sequence[int]]) -> list[RgbImage]:
        """The images behind `fds` as read-only arrays over shared memory, unmapped with the last of them."""
        maps: list[mmap.mmap] = []
        try:
            for fd, (height, width) in zip(fds, shapes, strict=True):
                maps.append(mmap.mmap(fd, height * width * 3, prot=mmap.PROT_READ))
        finally:
            close_fds(fds)
        import numpy as np  # noqa: PLC0415 - it starts threads, which would stand outside the walls

        return [
            np.frombuffer(view, np.uint8).reshape(height, width, 3)
            for view, (height, width) in zip(maps, shapes, strict=True)
        ]

    def tell(self, event: Event) -> bool:
        """Pass on an event; True when it was the last."""
        if not isinstance(event, EngineResult):
            if self._outbox:
                self._outbox.add(event)
            return False
        if self._outbox:
            self._outbox.flush()
        result = replace(event, seconds=time.perf_counter() - self._began)
        self._channel.send({"result": result.to_json(), "job": self._job})
        return True

    def fail(self, error: Exception) -> bool:
        """Pass on an error; False when the device is lost."""
        if not isinstance(error, ServiceError):
            log.error("the engine failed on a request", exc_info=error)
            error = EngineFailed("The model failed on this request.")
        elif isinstance(error, DeviceLost):
            log.error("the device was lost at work", exc_info=error)
        self._channel.send({"error": error_to_json(error), "job": self._job})
        return not isinstance(error, DeviceLost)

    def close(self) -> None:
        """Nothing more is told of it."""
        self._outbox = None


class OneAtATime:
    """An `Engine` as a `ConcurrentEngine` that takes one request; see there."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.load, self.close = engine.load, engine.close
        self.request_type = engine.request_type
        self._number = 0
        self._events: Iterator[Event] = iter(())

    def begin(self, number: int, request: Any, images: Sequence[RgbImage]) -> None:
        """See `ConcurrentEngine.begin`."""
        self._number = number
        self._events = self._engine.run(request, images)

    def advance(self) -> Sequence[tuple[int, Event]]:
        """See `ConcurrentEngine.advance`."""
        try:
            event = next(self._events)
        except StopIteration:
            raise RuntimeError("the engine ended without a result") from None
        except Exception:
            self._events = iter(())
            raise
        if isinstance(event, EngineResult):
            self._events = iter(())  # and with it the images of the request
        return [(self._number, event)]

    def cancel(self, _number: int, /) -> None:
        """See `ConcurrentEngine.cancel`."""
        getattr(self._events, "close", lambda: None)()
        self._events = iter(())


class _Outbox:
    """Sends what an engine tells: at once, or together where it comes faster than the pipe is worth.

    A text that follows another within `TOGETHER_S` waits for the next one. Tokens of a real model are much
    further apart, so none of them ever waits.
    """

    def __init__(self, channel: Channel, job: int) -> None:
        self._channel = channel
        self._job = job
        self._texts: list[str] = []
        self._sent_at = 0.0

    def add(self, event: Event) -> None:
        if isinstance(event, EngineStarted):
            self._channel.send({"started": vars(event), "job": self._job})
        elif isinstance(event, str):
            self._texts.append(event)
            if time.perf_counter() - self._sent_at >= TOGETHER_S or len(self._texts) >= _MAX_TOGETHER:
                self.flush()

    def flush(self) -> None:
        if self._texts:
            self._channel.send({"texts": self._texts, "job": self._job})
            self._texts = []
        self._sent_at = time.perf_counter()


def error_to_json(error: ServiceError) -> dict[str, Any]:
    """A `ServiceError` as the parent rebuilds it."""
    return {
        "kind": type(error).__name__,
        "message": error.message,
        "code": error.code,
        "param": error.param,
        "retry_after": error.retry_after,
    }


if __name__ == "__main__":
    status = main()
    logging.shutdown()
    # Nothing is left to the interpreter's end, where native objects are destroyed in any order.
    os._exit(status)

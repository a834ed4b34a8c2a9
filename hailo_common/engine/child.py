"""The engine process: loads one engine, answers one request at a time, stops between tokens when told.

Run by `hailo_common.engine.supervisor` as `python -m hailo_common.engine.child`. No HTTP, no asyncio.
"""

from __future__ import annotations

import importlib
import logging
import mmap
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from hailo_common.engine.contract import Engine, EngineResult, EngineStarted, Event, RgbImage
from hailo_common.errors import DeviceLost, EngineFailed, ModelError, ModelMissing, ServiceError
from hailo_common.ipc.messages import Channel, Message, child_channel, close_fds
from hailo_common.systemd.logging import setup_logging
from hailo_common.systemd.record import request_id

log = logging.getLogger(__name__)

EXIT_LOAD_FAILED = 3
EXIT_DEVICE_LOST = 4
_kept: list[Engine] = []
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
    engine = _make_engine(start["factory"], start["options"])
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


def _make_engine(factory: str, options: Mapping[str, Any]) -> Engine:
    module, _, name = factory.partition(":")
    engine: Engine = getattr(importlib.import_module(module), name)(options)
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


def _serve(channel: Channel, engine: Engine) -> int:
    while True:
        message, fds = channel.receive()
        if "ping" in message:
            # Not every engine has a device to feel the pulse of.
            channel.send({"pong": message["ping"], "vitals": getattr(engine, "vitals", dict)()})
        elif "run" in message:
            if not _answer(channel, engine, message, fds):
                return EXIT_DEVICE_LOST
        elif "stop" in message:
            return 0
        else:
            close_fds(fds)


def _answer(channel: Channel, engine: Engine, message: Message, fds: list[int]) -> bool:
    """Run one request to its end; False when the device is lost and the process must be replaced."""
    job = message["run"]
    request_id.set(message.get("request_id", ""))
    try:
        with _mapped(fds, message["shapes"]) as images:
            _run(channel, engine, message, images)
    except EOFError:
        raise
    except DeviceLost as error:
        channel.send({"error": error_to_json(error), "job": job})
        return False
    except ServiceError as error:
        channel.send({"error": error_to_json(error), "job": job})
    except Exception:
        log.exception("the engine failed on a request")
        failure = EngineFailed("The model failed on this request.")
        channel.send({"error": error_to_json(failure), "job": job})
    return True


def _run(channel: Channel, engine: Engine, message: Message, images: Sequence[RgbImage]) -> None:
    job = message["run"]
    outbox = _Outbox(channel, job) if message.get("stream", False) else None
    began = time.perf_counter()
    events = engine.run(engine.request_type.from_json(message["request"]), images)
    for event in events:
        if isinstance(event, EngineResult):
            if outbox:
                outbox.flush()
            result = replace(event, seconds=time.perf_counter() - began)
            channel.send({"result": result.to_json(), "job": job})
            return
        try:
            cancelled = _cancelled(channel, job)
        except EOFError:
            _close(events)
            raise
        if cancelled:
            _close(events)
            channel.send({"cancelled": True, "job": job})
            return
        if outbox:
            outbox.add(event)
    raise RuntimeError("the engine ended without a result")


def _close(events: Iterator[Event]) -> None:
    """End an answer that nobody wants any more, so that the engine has nothing under way."""
    getattr(events, "close", lambda: None)()


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


def _cancelled(channel: Channel, job: int) -> bool:
    """Whether the parent gave the job up; raises EOFError when it gave up the engine, or is gone."""
    waiting = channel.receive_waiting()
    if waiting is None:
        return False
    message, fds = waiting
    close_fds(fds)
    if "stop" in message:
        raise EOFError
    if "ping" in message:
        channel.send({"pong": message["ping"]})
    return message.get("cancel") == job


@contextmanager
def _mapped(fds: list[int], shapes: Sequence[Sequence[int]]) -> Iterator[list[RgbImage]]:
    """The images behind `fds` as read-only arrays over shared memory; unmapped afterwards."""
    maps: list[mmap.mmap] = []
    try:
        for fd, (height, width) in zip(fds, shapes, strict=True):
            maps.append(mmap.mmap(fd, height * width * 3, prot=mmap.PROT_READ))
    finally:
        close_fds(fds)
    yield [
        np.frombuffer(view, np.uint8).reshape(height, width, 3)
        for view, (height, width) in zip(maps, shapes, strict=True)
    ]


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

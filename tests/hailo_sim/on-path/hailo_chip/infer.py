"""Native objects behind `InferModel` and `ConfiguredInferModel`: buffers, queue, the callbacks' thread."""

from __future__ import annotations

import queue
import threading
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hailo_chip import faults, gil
from hailo_chip.enums import FormatType
from hailo_chip.hef import Hef
from hailo_chip.network import Network
from hailo_chip.settings import speed
from hailo_chip.state import Connection
from hailo_chip.statuses import HailoRTStatusException, failed
from hailo_chip.streams import Stream
from hailo_chip.violations import violation

QUEUE = 4
"""Inferences that may be under way on one model."""
_GARBAGE = 0xA5
Callback = Callable[[int], None]


class NativeInferModel:
    """A HEF that was read; `streams` carry the formats that were asked for."""

    def __init__(self, hef: Hef, connection: Connection) -> None:
        self.hef = hef
        self.connection = connection
        self.streams = {row["name"]: Stream.read(row) for row in hef.about["streams"]}

    def names(self, *, inputs: bool) -> list[str]:
        """Names of the inputs or of the outputs."""
        return [stream.name for stream in self.streams.values() if stream.is_input == inputs]

    def find(self, name: str, *, inputs: bool) -> str:
        """The full name. Raises status 6 without a name on a model of several, 61 for an unknown one."""
        return find(self.streams, name, inputs=inputs)

    def set_type(self, name: str, wanted: FormatType) -> None:
        """Remember the type of a stream; errors show when the model is configured."""
        if not isinstance(wanted, FormatType):
            raise TypeError("set_format_type(): incompatible function arguments")
        self.streams[name] = self.streams[name].with_type(wanted)

    def configure(self) -> Handle:
        """Bring the model onto the chip, with the global lock held. Raises the raw status exception."""
        faults.point("InferModel.configure")
        self.connection.check_open()
        if not self.hef.fits:
            raise failed("HEF_NOT_COMPATIBLE_WITH_DEVICE")
        for stream in self.streams.values():
            stream.check()
        return Handle(Pipeline(dict(self.streams), Network(self.hef), self.connection))


def find(streams: Mapping[str, Stream], name: str, *, inputs: bool) -> str:
    """See `NativeInferModel.find`."""
    names = [stream.name for stream in streams.values() if stream.is_input == inputs]
    if not name and len(names) != 1:
        raise failed("INVALID_OPERATION")
    if name and name not in names:
        raise failed("NOT_FOUND")
    return name or names[0]


class Job:
    """An inference under way."""

    def __init__(self) -> None:
        self.done = threading.Event()

    def wait(self, timeout_s: float) -> None:
        """Raise status 4 when the callback has not run in time; says nothing of a failure."""
        faults.point("AsyncInferJob.wait")
        if not self.done.wait(timeout_s):
            raise failed("TIMEOUT")


Buffers = dict[str, NDArray[Any]]


class Handle:
    """What a program holds of a configured model; dropping it shuts the model down and ends its thread."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline

    def __del__(self) -> None:
        self.pipeline.destroy()


class Pipeline:
    """A model on the chip, and the thread that its callbacks run on."""

    def __init__(self, streams: dict[str, Stream], network: Network, connection: Connection) -> None:
        self.streams = streams
        self._network = network
        self._connection = connection
        self._down = False
        self._under_way = 0
        self._room = threading.Condition()
        self._waiting: queue.SimpleQueue[tuple[Buffers, int, Callback, Job] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def wait_ready(self, timeout_s: float, frames: int) -> None:
        """Return when the queue has room, with the global lock free; raises status 4."""
        faults.point("ConfiguredInferModel.wait_for_async_ready")
        with self._room:
            if not self._room.wait_for(lambda: QUEUE - self._under_way >= frames, timeout_s):
                raise failed("TIMEOUT")

    def run_async(self, sets: Sequence[Buffers], callback: Callback) -> Job:
        """Submit inferences; `callback` gets the status of the last one on the model's thread."""
        faults.point("ConfiguredInferModel.run_async")
        try:
            for buffers in sets:
                self._check(buffers)
            self._connection.check_open()
        except HailoRTStatusException as error:
            if not getattr(error, "before_submit", False):
                self.shutdown()
            raise
        job = Job()
        for position, buffers in enumerate(sets):
            last = position == len(sets) - 1
            self._submit(buffers, callback if last else _nothing, job if last else Job())
        return job

    def _check(self, buffers: Buffers) -> None:
        for stream in self.streams.values():
            if not stream.is_input and stream.name not in buffers:
                error = failed("INVALID_OPERATION")
                error.before_submit = True
                raise error
        for stream in self.streams.values():
            if stream.name not in buffers:
                raise failed("NOT_FOUND")
            buffer = buffers[stream.name]
            if buffer.nbytes != stream.size:
                raise failed("INVALID_OPERATION")
            _check_layout(stream, buffer)

    def _submit(self, buffers: Buffers, callback: Callback, job: Job) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="hailo callbacks", daemon=True)
            self._thread.start()
        with self._room:
            if self._under_way >= QUEUE:
                raise failed("QUEUE_IS_FULL")
            self._under_way += 1
        self._waiting.put((buffers, self._seal(buffers), callback, job))

    def _seal(self, buffers: Buffers) -> int:
        """A checksum of the inputs, which nobody may change while the chip reads them."""
        if not speed().compute:
            return 0
        total = 0
        for name, stream in self.streams.items():
            if stream.is_input:
                total = zlib.crc32(buffers[name].data, total)
        return total

    def _work(self) -> None:
        while (work := self._waiting.get()) is not None:
            buffers, seal, callback, job = work
            status = self._infer(buffers, seal)
            with self._room:
                self._under_way -= 1
                self._room.notify()
            try:
                callback(status)
            except BaseException as error:  # the real library ends the process for any of them
                violation(f"a callback of run_async raised {type(error).__name__}: {error}")
            job.done.set()

    def _infer(self, buffers: Buffers, seal: int) -> int:
        outputs = {name: stream for name, stream in self.streams.items() if not stream.is_input}
        try:
            faults.point("inference")
            if self._down:
                raise failed("STREAM_ABORT")
            self._connection.check_open()
            gil.wait(speed().infer_s)
            if seal != self._seal(buffers):
                violation("an input buffer was changed while its inference was under way")
            if speed().compute:
                self._compute(buffers, outputs)
        except HailoRTStatusException as error:
            for name in outputs:
                buffers[name].view(np.uint8).fill(_GARBAGE)
            return int(error.args[0])
        return 0

    def _compute(self, buffers: Buffers, outputs: dict[str, Stream]) -> None:
        inputs = {
            name: stream.to_real(buffers[name]) for name, stream in self.streams.items() if stream.is_input
        }
        for name, value in self._network.run(inputs, outputs).items():
            stored = outputs[name].to_stored(value)
            np.copyto(buffers[name].reshape(stored.shape), stored)

    def request_shutdown(self) -> None:
        """As `shutdown`, as a request of the program. Raises the raw status exception."""
        faults.point("ConfiguredInferModel.shutdown")
        self._connection.check_open()
        self.shutdown()

    def shutdown(self) -> None:
        """No inference works any more; may be called twice."""
        self._down = True

    def destroy(self) -> None:
        """What the destructor does: shut down, run what is left, end the thread."""
        self.shutdown()
        thread, self._thread = self._thread, None
        if thread is not None:
            self._waiting.put(None)
            if thread is not threading.current_thread():
                thread.join(speed().request_s)  # requests to a chip that hangs end, too


def _check_layout(stream: Stream, buffer: NDArray[Any]) -> None:
    """Equal bytes of another type or shape pass on the real stack and give garbage: not here."""
    if buffer.dtype != stream.dtype:
        violation(f"{stream.name}: a buffer of {buffer.dtype}, but the stream is {stream.dtype}")
    have = [size for size in buffer.shape if size != 1]
    want = [size for size in stream.shape if size != 1]
    if buffer.ndim > 1 and have != want:
        violation(f"{stream.name}: a buffer of shape {buffer.shape}, but the stream is {stream.shape}")


def _nothing(status: int) -> None:
    """The callback of all but the last inference of a batch."""


def deadline_ms(timeout_ms: float) -> float:
    """Milliseconds to seconds; refuses what the binding refuses."""
    if not isinstance(timeout_ms, (int, float)):
        raise TypeError(f"unsupported type for timedelta milliseconds component: {type(timeout_ms).__name__}")
    return timeout_ms / 1000

"""`InferModel` and what is made from it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hailo_chip import infer as native
from hailo_chip.enums import FormatType
from hailo_chip.infer import deadline_ms
from hailo_chip.streams import Format, QuantInfo, Stream
from numpy.typing import NDArray

from hailo_platform.pyhailort._exceptions import ExceptionWrapper, HailoRTException

Buffer = NDArray[Any]


class InferModel:
    """A HEF that was read, and how the host wants its streams."""

    class InferStream:
        """One input or output."""

        def __init__(self, infer_stream: tuple[native.NativeInferModel, str]) -> None:
            self._model, self._name = infer_stream

        @property
        def _stream(self) -> Stream:
            return self._model.streams[self._name]

        @property
        def name(self) -> str:
            """The full name."""
            return self._name

        @property
        def shape(self) -> list[int]:
            """Sizes without the batch."""
            return self._stream.shape

        @property
        def format(self) -> Format:
            """Type and order on the host."""
            return Format(self._stream.chosen, self._stream.order)

        @property
        def quant_infos(self) -> list[QuantInfo]:
            """How stored numbers become real ones."""
            return [self._stream.quant]

        @property
        def is_nms(self) -> bool:
            """True for boxes; never here."""
            return False

        def set_format_type(self, type: FormatType) -> None:
            """Let the library convert; a type it cannot convert to is refused by `configure`."""
            with ExceptionWrapper():
                self._model.set_type(self._name, type)

    def __init__(self, infer_model: native.NativeInferModel, hef_path: str | bytes) -> None:
        self._infer_model = infer_model
        self._hef_path = hef_path

    @property
    def input_names(self) -> list[str]:
        """Names of the inputs."""
        return self._infer_model.names(inputs=True)

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs."""
        return self._infer_model.names(inputs=False)

    @property
    def inputs(self) -> list[InferStream]:
        """The inputs."""
        return [self.input(name) for name in self.input_names]

    @property
    def outputs(self) -> list[InferStream]:
        """The outputs."""
        return [self.output(name) for name in self.output_names]

    def input(self, name: str = "") -> InferStream:
        """One input; the name may be left out where there is one."""
        return self._find(name, inputs=True)

    def output(self, name: str = "") -> InferStream:
        """One output; the name may be left out where there is one."""
        return self._find(name, inputs=False)

    def _find(self, name: str, *, inputs: bool) -> InferStream:
        with ExceptionWrapper():
            return self.InferStream((self._infer_model, self._infer_model.find(name, inputs=inputs)))

    def configure(self) -> ConfiguredInferModel:
        """Bring the model onto the chip."""
        with ExceptionWrapper():
            return ConfiguredInferModel(self._infer_model.configure(), self)


class AsyncInferCompletionInfo:
    """What a callback is told."""

    def __init__(self, exception: Exception | None) -> None:
        self._exception = exception

    @property
    def exception(self) -> Exception | None:
        """Why the inference failed; None when it did not."""
        return self._exception


class AsyncInferJob:
    """An inference under way."""

    def __init__(self, job: native.Job) -> None:
        self._job = job

    def wait(self, timeout_ms: float) -> None:
        """Return when its callback has run; does not tell of failures."""
        with ExceptionWrapper():
            self._job.wait(deadline_ms(timeout_ms))


class ConfiguredInferModel:
    """A model on the chip."""

    class Bindings:
        """The buffers of one inference."""

        class InferStream:
            """One input or output of a set of bindings."""

            def __init__(self, infer_stream: tuple[dict[str, Buffer], str]) -> None:
                self._buffers, self._name = infer_stream

            def set_buffer(self, buffer: Buffer) -> None:
                """Use this C-contiguous, writable array; its type and shape are not checked."""
                if not buffer.flags.c_contiguous:
                    raise HailoRTException("Buffer must be C_CONTIGUOUS")
                if not buffer.flags.writeable:
                    raise ValueError("array is not writeable")
                self._buffers[self._name] = buffer

            def get_buffer(self, tf_format: bool | None = False) -> Buffer | None:
                """The array in use."""
                return self._buffers.get(self._name)

        def __init__(self, bindings: native.Pipeline) -> None:
            self._streams = bindings.streams
            self._buffers: dict[str, Buffer] = {}

        def input(self, name: str = "") -> InferStream:
            """One input; the name may be left out where there is one."""
            return self._find(name, inputs=True)

        def output(self, name: str = "") -> InferStream:
            """One output; the name may be left out where there is one."""
            return self._find(name, inputs=False)

        def _find(self, name: str, *, inputs: bool) -> InferStream:
            with ExceptionWrapper():
                full = native.find(self._streams, name, inputs=inputs)
            return self.InferStream((self._buffers, full))

        def get(self) -> dict[str, Buffer]:
            """The native object: buffers by name."""
            return self._buffers

    def __init__(self, configured_infer_model: native.Handle, infer_model: InferModel) -> None:
        self._configured_infer_model: native.Handle | None = configured_infer_model
        self._infer_model = infer_model
        self._buffer_guards: deque[list[Buffer]] = deque()

    def __enter__(self) -> ConfiguredInferModel:
        return self

    def __exit__(self, *args: object) -> None:
        self._configured_infer_model = None

    @property
    def _native(self) -> Any:
        """After the block ends None, whose use raises AttributeError, as in the real package."""
        handle: Any = self._configured_infer_model
        return handle.pipeline

    def create_bindings(
        self,
        input_buffers: Mapping[str, Buffer] | None = None,
        output_buffers: Mapping[str, Buffer] | None = None,
    ) -> Bindings:
        """Bindings over these buffers."""
        bindings = self.Bindings(self._native)
        for name, buffer in (input_buffers or {}).items():
            bindings.input(name).set_buffer(buffer)
        for name, buffer in (output_buffers or {}).items():
            bindings.output(name).set_buffer(buffer)
        return bindings

    def wait_for_async_ready(self, timeout_ms: float = 1000, frames_count: int = 1) -> None:
        """Return when the queue has room."""
        with ExceptionWrapper():
            self._native.wait_ready(deadline_ms(timeout_ms), frames_count)

    def run(self, bindings: Sequence[Bindings], timeout: float) -> None:
        """One inference; says nothing of a failure."""
        self.run_async(bindings).wait(timeout)

    def run_async(
        self, bindings: Sequence[Bindings], callback: Callable[..., None] | None = None
    ) -> AsyncInferJob:
        """Start an inference; `callback` gets the keyword `completion_info`."""
        pipeline = self._native
        sets = [dict(each.get()) for each in bindings]
        self._buffer_guards.append([buffer for each in sets for buffer in each.values()])

        def finished(status: int) -> None:
            error = ExceptionWrapper.create_exception_from_status(status) if status else None
            if callback is not None:
                callback(completion_info=AsyncInferCompletionInfo(error))
            self._buffer_guards.popleft()

        with ExceptionWrapper():
            return AsyncInferJob(pipeline.run_async(sets, finished))

    def get_async_queue_size(self) -> int:
        """How many inferences may be under way."""
        return native.QUEUE if self._native else 0

    def shutdown(self) -> None:
        """No inference works any more."""
        with ExceptionWrapper():
            self._native.request_shutdown()

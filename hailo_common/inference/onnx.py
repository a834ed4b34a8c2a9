"""Sessions of ONNX Runtime on the CPU. The only module that imports `onnxruntime`.

Debian's build prints 567 lines of "Schema error" on file descriptor 2, at import or with the first sessions,
so that is closed off for these moments; what goes wrong comes as an exception.

Token embedding as an ONNX graph, `input_ids` → `inputs_embeds` as the community exports name them.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hailo_common.errors import ModelError, ModelMissing, library_reason
from hailo_common.inference.onnx_edits import Edit
from hailo_common.inference.onnx_file import OnnxFile
from hailo_common.inference.onnx_trust import check_onnx

log = logging.getLogger(__name__)


@contextmanager
def _stderr_closed() -> Iterator[None]:
    kept = os.dup(2)
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(null)
        os.close(kept)


with _stderr_closed():
    import onnxruntime as ort

_ONLY_ERRORS = 3
_WEIGHTS_FOLDER = "session.model_external_initializers_file_folder_path"
_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
}

if hasattr(ort, "disable_telemetry_events"):
    ort.disable_telemetry_events()
ort.set_default_logger_severity(_ONLY_ERRORS)


@dataclass(frozen=True)
class Tensor:
    """One input or output as the graph declares it; a dimension that may vary is None."""

    dtype: np.dtype[Any]
    shape: tuple[int | None, ...]


class Graph:
    """One loaded ONNX file; `inputs` and `outputs` map names to what the graph declares, in its order."""

    def __init__(
        self, path: Path, threads: int, edits: Sequence[Edit] | None = None, *, folder: Path | None = None
    ) -> None:
        """Load `path` for `threads` threads, of the model `folder`, if it does not lie in the file's own.

        With `edits`, even none, its weights are mapped where they lie, not copied. The file stays as it is;
        `edits` are then those that took effect. Raises ModelMissing, or ModelError naming the file.
        """
        self.path = path
        if not os.path.lexists(path):
            raise ModelMissing(f"{path}: file is missing")
        check_onnx(folder or path.parent, path)
        self._session, self.edits = _open(path, threads, edits)
        self.inputs = {item.name: _tensor(item, path) for item in self._session.get_inputs()}
        self.outputs = {item.name: _tensor(item, path) for item in self._session.get_outputs()}

    def need(self, inputs: Sequence[str] = (), outputs: Sequence[str] = ()) -> None:
        """Raise ModelError naming the file when the graph lacks one of these inputs or outputs."""
        for kind, names, have in (("input", inputs, self.inputs), ("output", outputs, self.outputs)):
            for name in names:
                if name not in have:
                    raise ModelError(f"{self.path}: expected an {kind} named {name!r}")

    def follows(self, name: str, before: Graph, output: str) -> None:
        """Raise ModelError when input `name` declares another width than `output` of the graph `before`."""
        have, want = _width(self.inputs, name), _width(before.outputs, output)
        if have is not None and want is not None and have != want:
            raise ModelError(
                f"{self.path}: expected {name!r} of width {want}, as {before.path.name} makes, not {have}"
            )

    def run(
        self, outputs: Sequence[str], feeds: Mapping[str, NDArray[Any]], *, give_back: bool = False
    ) -> list[NDArray[Any]]:
        """The named outputs; feeds are not copied when they are contiguous.

        With `give_back` what was needed in between is not kept for the next time.
        """
        made: list[NDArray[Any]] = self._session.run(outputs, feeds, _GIVE_BACK if give_back else None)
        return made

    def cast(self, name: str, value: NDArray[Any]) -> NDArray[Any]:
        """`value` in the type that input `name` wants."""
        return value.astype(self.inputs[name].dtype, copy=False)

    def close(self) -> None:
        """Drop the session. May be called twice."""
        self._session = None


def _width(tensors: Mapping[str, Tensor], name: str) -> int | None:
    shape = tensors[name].shape if name in tensors else ()
    return shape[-1] if shape else None


def _open(path: Path, threads: int, edits: Sequence[Edit] | None) -> tuple[Any, list[Edit]]:
    try:
        edited = None if edits is None else _open_edited(path, threads, edits)
        return edited or (_session(str(path), _options(threads)), [])
    except MemoryError:
        raise
    except Exception as error:
        if "allocate" in str(error).lower():
            raise MemoryError(f"no memory for {path}") from error
        raise ModelError(
            f"{path}: expected an ONNX model that ONNX Runtime {ort.__version__} can load, which says:"
            f" {library_reason(error)}"
        ) from error


def _open_edited(path: Path, threads: int, edits: Sequence[Edit]) -> tuple[Any, list[Edit]] | None:
    """A session over the changed graph; None where the graph as it stands must do."""
    try:
        file = OnnxFile(path)
        took = [edit for edit in edits if edit(file)]
        options = _options(threads)
        options.add_session_config_entry(_WEIGHTS_FOLDER, str(file.path.parent))
        return _session(file.to_bytes(), options), took
    except MemoryError:
        raise
    except Exception as error:  # the library's own, or of a file that it will refuse too, and say why
        log.warning("%s: the graph is used as it is: %s", path, library_reason(error))
        return None


def _session(model: str | bytes, options: Any) -> Any:
    with _stderr_closed():
        made = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    # Kept for a change to other providers, of which there are none.
    made._model_bytes = None
    return made


def _giving_back() -> Any:
    options = ort.RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return options


_GIVE_BACK = _giving_back()


def _options(threads: int) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = _ONLY_ERRORS
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _tensor(item: Any, path: Path) -> Tensor:
    if item.type not in _DTYPES:
        raise ModelError(f"{path}: expected a known tensor type for {item.name!r}, not {item.type}")
    shape = tuple(size if isinstance(size, int) else None for size in item.shape)
    return Tensor(np.dtype(_DTYPES[item.type]), shape)


_IDS, _EMBEDS = "input_ids", "inputs_embeds"


class OnnxEmbedding:
    """`embed_tokens.onnx`, which every part that reads tokens shares."""

    def __init__(self, graph: Graph) -> None:
        """Raises ModelError when the graph is another one."""
        graph.need([_IDS], [_EMBEDS])
        self._graph = graph
        self._dtype = graph.inputs[_IDS].dtype

    def __call__(self, ids: Sequence[int]) -> NDArray[np.floating[Any]]:
        """n token ids to (1, n, d)."""
        return self._graph.run([_EMBEDS], {_IDS: np.array([ids], self._dtype)})[0]

    def close(self) -> None:
        """Release the graph. May be called twice."""
        self._graph.close()

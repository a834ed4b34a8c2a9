"""Which backend a stage runs on, and why: a pure function of what was asked for and what is there.

Availability is asked with `find_spec` and a look at the device node, never by importing: a native library
may kill the process on the wrong machine.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from hailo_common.engine.contract import StageInfo
from hailo_common.errors import DeviceLost, ModelError
from hailo_common.npu import device_nodes as nodes
from hailo_common.npu.errors import ABSENT, NO_LIBRARY
from hailo_common.npu.library import has_library

Backend = Literal["npu", "cpu"]
WANTED = ("auto", "npu", "cpu")
_SMALL = 16_000_000  # bytes of graph below which a second thread costs more than it brings
NAMES = {"npu": "HailoRT (NPU)", "cpu": "onnxruntime (CPU)"}


@dataclass(frozen=True)
class Availability:
    """What this machine has."""

    hailort: bool
    device: bool
    onnxruntime: bool


@dataclass(frozen=True)
class BackendChoice:
    """A backend and the reason for it, in words for an operator.

    `fell_back` says that it is not the one that should have been: `/health` then tells `degraded`.
    """

    backend: Backend
    reason: str
    fell_back: bool = False


def probe(root: Path | None = None, library: str = "") -> Availability:
    """Look for the libraries, and below `root` for the device; imports nothing, opens nothing.

    `library` is the value of `hailort_python_path`, which an engine's process has followed already.
    """
    return Availability(
        hailort=has_library(library),
        device=bool(nodes.device_nodes(root) or nodes.sysfs_devices(root)),
        onnxruntime=find_spec("onnxruntime") is not None,
    )


def choose_backend(wanted: str, available: Availability, *, hef: bool) -> BackendChoice:
    """Choose for one stage; `hef` says whether an NPU build of that stage can be used.

    Raises DeviceLost when the NPU was asked for and is not there, ModelError when no backend is left.
    """
    if wanted not in WANTED:
        raise ModelError(f"backend must be one of {', '.join(WANTED)}, not {wanted!r}")
    missing = _why_no_npu(available)
    if wanted == "npu" and missing:
        raise DeviceLost(
            f"backend npu was asked for, but HailoRT is not available on this machine: {missing}",
            code=NO_LIBRARY if available.device else ABSENT,
        )
    if wanted != "cpu" and not missing and hef:
        return BackendChoice("npu", "an NPU and a build of this stage for it are there")
    if not available.onnxruntime:
        raise ModelError("the cpu backend needs ONNX Runtime, which is not installed")
    if wanted == "cpu":
        return BackendChoice("cpu", "backend cpu was asked for")
    return BackendChoice("cpu", missing or "there is no NPU build of this stage")


def choose_stages(
    stages: Sequence[str], wanted: str, available: Availability, hefs: Container[str] = ()
) -> dict[str, BackendChoice]:
    """A backend for each stage; `hefs` are those that have an NPU build. Raises as `choose_backend`.

    ModelError also when the NPU was asked for and no stage has a build for it.
    """
    choices = {name: choose_backend(wanted, available, hef=name in hefs) for name in stages}
    if wanted == "npu" and all(choice.backend == "cpu" for choice in choices.values()):
        raise ModelError("backend npu was asked for, but this model folder has no NPU build of any stage")
    return choices


def stages_info(choices: Mapping[str, BackendChoice]) -> tuple[StageInfo, ...]:
    """What `/health` shows of each stage."""
    return tuple(
        StageInfo(name, NAMES[choice.backend], choice.reason, choice.fell_back)
        for name, choice in choices.items()
    )


def _why_no_npu(available: Availability) -> str:
    if not available.device:
        return "no Hailo device found"
    if not available.hailort:
        return (
            "the hailo_platform library is not installed (package python3-h10-hailort, or a wheel whose"
            " folder hailort_python_path names)"
        )
    return ""


def choose_threads(asked: int, size: int) -> int:
    """Threads for a graph of `size` bytes: as asked, else one for a small one and every core for others."""
    if asked:
        return asked
    return 1 if size < _SMALL else len(os.sched_getaffinity(0))


def graph_size(path: Path) -> int:
    """Bytes of an ONNX file and of the files of weights beside it, whose names begin with its own."""
    return sum(part.stat().st_size for part in path.parent.glob(f"{glob.escape(path.name)}*"))

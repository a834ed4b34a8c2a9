"""The engine of a model folder: on the Hailo chip where both the chip and a HEF are there, else on the CPU.

On the CPU a folder of GGUF files goes to llama.cpp, one of ONNX files to ONNX Runtime.

Chosen anew at every load, since chips and files come and go.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from hailo_common.engine.contract import ConcurrentEngine, Engine, EngineInfo
from hailo_common.errors import DeviceLost, ModelMissing
from hailo_common.inference.backend import choose_backend, probe
from hailo_common.inference.model_dir import ModelDir
from hailo_common.resources import Closeable
from hailo_vision.config import SERVICE, VisionSettings
from hailo_vision.protocol import VisionRequest

log = logging.getLogger(__name__)

_DECODER = "decoder_model_merged"


def make_engine(options: Mapping[str, Any]) -> ChosenEngine:
    """An engine that is not loaded yet.

    `options`: those of `hailo_vision.onnx.engine.make_onnx_engine`.
    """
    return ChosenEngine(options)


class ChosenEngine(Closeable):
    """See `hailo_common.engine.contract.HasChosen`. One thread at a time; also a context manager."""

    request_type: ClassVar = VisionRequest

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = options
        self._settings = VisionSettings.from_engine_options(options)
        self._folder = ModelDir(Path(options["model_dir"]))
        self._engine: Engine | ConcurrentEngine | None = None

    @property
    def chosen(self) -> Engine | ConcurrentEngine:
        """The engine that was loaded, which takes the requests."""
        if self._engine is None:
            raise RuntimeError("the engine is not loaded")
        return self._engine

    def load(self) -> EngineInfo:
        """Choose and load; see `Engine.load`.

        With backend `auto` a HEF that HailoRT refuses makes room for the folder's ONNX files, and the stages
        say so. A chip that is busy or lost does not: it is waited for.
        """
        self._folder.check()
        wanted = self._settings.backend
        hefs = list(self._folder.path.glob("*.hef"))
        if wanted == "npu" and not hefs:
            raise ModelMissing(f"{self._folder.path}: there is no .hef file, which backend npu needs")
        choice = choose_backend(wanted, probe(), hef=bool(hefs))
        if choice.backend == "npu":
            return self._load_npu(wanted)
        if wanted == "auto" and hefs and not self._has_onnx():
            raise DeviceLost(
                f"the model is for the NPU, and {choice.reason}; check that the chip is seated, its driver"
                " loaded and HailoRT installed",
                code="device_absent",
                retry_after=5,
            )
        return self._load_cpu(wanted)

    def _load_npu(self, wanted: str) -> EngineInfo:
        from hailo_common.npu.hailort import NpuSettings  # noqa: PLC0415 - of several engines one is loaded
        from hailo_vision.npu import chip as npu_chip  # noqa: PLC0415
        from hailo_vision.npu import engine as npu_engine  # noqa: PLC0415

        settings = self._settings
        engine = self._engine = npu_engine.NpuVisionEngine(
            self._folder.path,
            chip=NpuSettings.read(settings.npu_options(SERVICE)),
            frame_fit=settings.frame_fit,
            max_model_len=settings.max_model_len,
            max_images=settings.max_images,
            keeps=settings.conversation_cache_mb > 0,
            timeout_s=settings.device_timeout_s,
            grids=settings.extra_images == "grid",
        )
        try:
            return engine.load()
        except npu_chip.HefRefused as error:
            if wanted == "npu" or not self._has_onnx():
                raise
            log.warning("the model runs on the CPU: %s", error)
            reason = str(error)
        self.close()
        info = self._load_cpu("cpu")
        stages = tuple(replace(stage, reason=reason, fell_back=True) for stage in info.stages)
        return replace(info, stages=stages)

    def _load_cpu(self, wanted: str) -> EngineInfo:
        if self._has_gguf():
            return self._load_gguf()
        from hailo_vision.onnx.engine import make_onnx_engine  # noqa: PLC0415 - of several engines one is loaded

        engine = self._engine = make_onnx_engine({**self._options, "backend": wanted})
        return engine.load()

    def _load_gguf(self) -> EngineInfo:
        from hailo_vision.gguf.engine import make_gguf_engine  # noqa: PLC0415 - of several one is loaded

        engine = self._engine = make_gguf_engine(self._options)
        return engine.load()

    def _has_gguf(self) -> bool:
        return bool(self._folder.gguf())

    def _has_onnx(self) -> bool:
        return self._folder.find_onnx(_DECODER) is not None

    def vitals(self) -> dict[str, Any]:
        """See `hailo_common.engine.contract.HasVitals`; a CPU has none."""
        made: dict[str, Any] = getattr(self._engine, "vitals", dict)()
        return made

    def close(self) -> None:
        """Release the chosen engine. May be called twice."""
        # Kept, see `ChipVisionEngine.close`.
        if self._engine is not None:
            self._engine.close()

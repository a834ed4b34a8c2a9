"""The native object behind `VLM`: the one language model of the chip, its context and its frames."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from weakref import ref

import numpy as np
from numpy.typing import NDArray

from hailo_chip import faults, gil, hef, state
from hailo_chip.answer import Answer
from hailo_chip.choosing import Chooser, LLMGeneratorParams
from hailo_chip.device import NativeVDevice
from hailo_chip.enums import FormatOrder, SchedulingAlgorithm
from hailo_chip.settings import is_old, since, speed, version
from hailo_chip.statuses import failed
from hailo_chip.violations import violation

_MOST_FRAMES = 5  # of 5.1.1


class NativeVLM:
    """A loaded model. One thread at a time; the global lock is held throughout."""

    frame_type = np.dtype(np.uint8)
    frame_order = FormatOrder.NHWC

    def __init__(self, vdevice: NativeVDevice | None, path: str, optimise: bool) -> None:
        """Raises the raw status exception; takes `Speed.load_s`."""
        if vdevice is None:
            violation("a VLM was made on a VDevice that was released (the real library crashes)")
        if not isinstance(path, str):
            raise TypeError("VLMWrapper.create(): incompatible function arguments")
        self._pid = os.getpid()
        self._out_of_step = False
        self._latest: ref[Answer] | None = None  # dropping an answer ends it, so it must not be kept here
        vdevice.check_process()
        if vdevice.params.scheduling_algorithm == SchedulingAlgorithm.NONE:
            raise failed("NOT_SUPPORTED")
        if not path:
            raise failed("INVALID_OPERATION")
        if not Path(path).exists():
            raise failed("OPEN_FILE_FAILURE")
        vdevice.connection.check()
        self._cache = self._take_cache()
        try:
            self._load(vdevice, path, optimise)
        except BaseException:
            self._cache.release()
            raise

    def _take_cache(self) -> state.Held:
        held = state.take_cache()
        if held is not None:
            return held
        if is_old():
            violation("a second language model on the chip, which HailoRT 5.1.1 does not guard against")
        # Up to 5.2 the server hangs up; from 5.3 the place is asked for first, and its status comes back.
        raise failed("INVALID_OPERATION" if since("5.3.0") else "COMMUNICATION_CLOSED")

    def _load(self, vdevice: NativeVDevice, path: str, optimise: bool) -> None:
        read = hef.read(path)
        faults.point("VLM")
        if optimise:
            raise failed("NOT_IMPLEMENTED")
        # The chip's own statuses come through.
        if read.about["kind"] != "vlm" or read.newer_than(version()):
            raise failed("INVALID_HEF")
        if not read.fits:
            raise failed("HEF_NOT_COMPATIBLE_WITH_DEVICE")
        gil.hold(speed().load_s)
        self.connection = state.Connection()
        self.vdevice = vdevice
        from hailo_chip.brain import Brain  # noqa: PLC0415 - late: programs without a VLM start faster
        from hailo_chip.template import Template  # noqa: PLC0415
        from hailo_chip.words import Words  # noqa: PLC0415

        self.template = Template(read.about["template"])
        self.words = Words(json.loads(read.file("tokenizer")))
        self.brain = Brain(read)
        self.stops = [self.words.encode(text) for text in read.about["stops"]]
        self.recovery = self.words.encode(read.about["stops"][0])
        self.history: set[int] = set()
        self.frames: list[NDArray[np.float32]] = []
        self.stale = 0
        self.prefix = 0
        vdevice.models += 1
        self._alive = True

    def request(self, call: str) -> None:
        """Any request begins: fault point, process, connection. Raises the raw status exception."""
        if os.getpid() != self._pid:
            violation(f"{call} in a forked process")
        faults.point(call)
        self.connection.check()
        if self._out_of_step:
            raise failed("COMMUNICATION_CLOSED")

    def params(self) -> LLMGeneratorParams:
        """The model's defaults, to be changed."""
        return LLMGeneratorParams()

    def generate(
        self,
        params: LLMGeneratorParams,
        prompt: str | list[str],
        frames: Sequence[NDArray[Any]],
        videos: Sequence[Any],
    ) -> Answer:
        """Begin an answer. Raises the raw status exception, TypeError or ValueError."""
        for frame in frames:
            if not isinstance(frame, np.ndarray):
                raise TypeError("VLMWrapper.generate(): incompatible function arguments")
        params.check()
        self.request("VLM.generate")
        self.refuse_overlap("generate")
        if any(not frame.flags.writeable for frame in frames):
            raise ValueError("array is not writeable")
        chooser = Chooser(params, self.brain.vocabulary)
        if not prompt:
            raise failed("INVALID_ARGUMENT")
        text = prompt if isinstance(prompt, str) else self.template.render(prompt)
        if not text:
            raise failed("INVALID_ARGUMENT")
        self._encode(frames, videos)
        ids = self.words.encode(text)
        self.prefix = 0
        self.words.forget()
        answer = Answer(self, params, chooser, ids)
        self._latest = ref(answer)
        if params.max_generated_tokens == 0:
            answer.read(3600)
        return answer

    @property
    def answer(self) -> Answer | None:
        """The latest answer, while a program has it."""
        return None if self._latest is None else self._latest()

    def _encode(self, frames: Sequence[NDArray[Any]], videos: Sequence[Any]) -> None:
        """Frames to features on the chip, where they stay until a prefill succeeds.

        5.1.1 refuses frames when the request is on its way already: the chip waits for them and takes the
        next request for one, so that the session is out of step and hangs up.
        """
        size = int(np.prod(self.brain.frame))
        if is_old() and (len(frames) > _MOST_FRAMES or any(frame.nbytes != size for frame in frames)):
            self._out_of_step = True
            raise failed("INVALID_ARGUMENT")
        if len(self.frames) + len(frames) > self.brain.max_frames:
            self._out_of_step = True
            raise failed("INVALID_OPERATION")
        self.stale = len(self.frames)
        for frame in frames:
            if frame.nbytes != size:
                self.frames.append(np.zeros((0, 0), np.float32))
                raise failed("INVALID_OPERATION")
            _check_frame(frame, self.brain.frame)
            self.frames.append(self.brain.encode(frame))
            faults.point("encode")
        if videos:
            raise failed("INVALID_OPERATION")

    def take_frames(self, wanted: int) -> list[NDArray[np.float32]]:
        """The frames of a prompt with so many places. Raises status 6 when there are more or fewer."""
        if wanted != len(self.frames):
            raise failed("INVALID_OPERATION")
        if self.stale:
            violation(
                "a picture of an earlier request took a place in this one: rebuild the VLM after errors"
            )
        return list(self.frames)

    def refuse_overlap(self, what: str) -> None:
        """Fail the test when an answer is still being generated."""
        answer = self.answer
        if answer is not None and not answer.ended:
            violation(f"{what} while an answer is being generated")

    def clear(self) -> None:
        """Forget the conversation, not the stale frames. Raises the raw status exception."""
        self.request("VLM.clear_context")
        self.refuse_overlap("clear_context")
        self.brain.clear()
        self.history.clear()
        self.prefix = 0
        self.words.forget()
        self.template.first = True

    def usage(self) -> int:
        """Tokens in the cache and those that wait to be read. Raises the raw status exception."""
        self.request("VLM.get_context_usage_size")
        return self.brain.used + self.prefix

    def release(self) -> None:
        """Take the model off the chip; fails the test when an answer of it was not released."""
        answer = self.answer
        if answer is not None and not answer.released and self.connection.alive:
            violation("a VLM was released before its completion (the real chip's server crashes)")
        faults.logged("VLM.release")
        self._free()

    def _free(self) -> None:
        if self._alive:
            self._alive = False
            self.vdevice.models -= 1
            self._cache.release()

    def __del__(self) -> None:
        """Dropped unreleased: the destructor frees the chip."""
        if getattr(self, "_alive", False) and not sys.is_finalizing():
            self._free()


def _check_frame(frame: NDArray[Any], shape: tuple[int, int, int]) -> None:
    """What only the byte count saves on the real stack fails the test."""
    if frame.dtype != np.uint8 or not frame.flags.c_contiguous:
        violation(
            f"a frame of {frame.dtype}, C-contiguous {frame.flags.c_contiguous}: wrong pixels on the chip"
        )
    if frame.shape != shape and frame.ndim > 1:
        violation(f"a frame of shape {frame.shape}, but the model takes {shape}")

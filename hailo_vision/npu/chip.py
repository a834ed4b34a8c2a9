"""The vision language model on the chip: opened, spoken with, and released in the one order that is safe.

A completion must go before its model and the model before the chip, on every path: in the other order the
program on the chip crashes and only removing power helps. HailoRT's exceptions leave here as ServiceError or
ModelError.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hailo_common.errors import DeviceLost, ModelError, ModelMissing, ServiceError
from hailo_common.npu import device_nodes as nodes
from hailo_common.npu.errors import (
    BUSY,
    HEF_DAMAGED,
    HEF_REFUSED,
    damaged_hef,
    explain,
    hailort_status,
    status_text,
)
from hailo_common.npu.hailort import Npu, NpuSettings, open_npu, release
from hailo_common.npu.hef import later_release
from hailo_common.npu.types import GENERATING, VLM, Completion
from hailo_common.resources import Closeable
from hailo_vision.npu.frames import Frame

log = logging.getLogger(__name__)

_abandoned: list[Completion] = []
"""Answers whose session is lost, never collected: their destructor would end the process."""
_INVALID_OPERATION = 6


class HefRefused(ModelError):
    """A HEF that is whole, but made for another chip or another version of HailoRT."""


@contextmanager
def explained_errors(doing: str) -> Iterator[None]:
    """Turn HailoRT's exceptions into DeviceLost with the remedy; the cause goes to the log."""
    try:
        yield
    except (ServiceError, ModelError, ModelMissing, MemoryError):
        raise
    except Exception as error:
        log.warning("HailoRT failed while %s", doing, exc_info=error)
        raise explain(error, doing) from error


class NpuChat(Closeable):
    """One loaded VLM; one thread at a time, one answer at a time."""

    def __init__(self, chip: Npu, vlm: VLM) -> None:
        """Takes both over."""
        self._chip = chip
        self._vlm: VLM | None = vlm
        self._completion: Completion | None = None

    @property
    def vlm(self) -> VLM:
        """The loaded model."""
        assert self._vlm is not None
        return self._vlm

    @property
    def max_frames(self) -> int:
        """Images that one answer can be about."""
        return self._chip.version.max_frames

    def tokenize(self, text: str) -> list[int]:
        """Token ids as the chip reads a text."""
        with explained_errors("counting tokens"):
            return list(self.vlm.tokenize(text)) if text else []

    def usage(self) -> int:
        """Tokens in the context, the last answer's included."""
        with explained_errors("asking for the length of the context"):
            return int(self.vlm.get_context_usage_size())

    def clear(self) -> None:
        """Forget the conversation."""
        with explained_errors("clearing the context"):
            self.vlm.clear_context()

    def generate(self, text: str, frames: Sequence[Frame], parameters: Mapping[str, Any]) -> Completion:
        """Begin an answer to a prompt with as many places as there are frames; `end_generation` ends it."""
        assert self._completion is None, "the answer before is not ended"
        with explained_errors("giving the chip the images"):
            self._completion = self.vlm.generate(text, [frame.pixels for frame in frames], **parameters)
        return self._completion

    def end_generation(self) -> None:
        """End the answer; where it is not finished, this waits for the token in the making.

        libhailort aborts the process over an answer under way whose session is lost, so it is asked first.
        """
        if self._completion is not None:
            with explained_errors("ending the answer"):
                if str(self._completion.generation_status.name) == GENERATING:
                    self.vlm.get_context_usage_size()
                self._completion.release()
            self._completion = None

    def temperature(self) -> tuple[float, float] | None:
        """See `Npu.temperature`; raises DeviceLost where the model's session is found lost."""
        return self._chip.temperature(self.usage)

    def close(self) -> None:
        """Release answer, model and chip. May be called twice.

        What cannot be released is only logged. An answer whose session is lost is left to the end of the
        process: the chip has dropped it with the session, and model and chip are given back without it.
        """
        try:
            self.end_generation()
        except Exception as error:
            log.warning("%s", explain(error, "ending the answer"))
            _abandoned.extend(filter(None, (self._completion,)))
            self._completion = None
        vlm, self._vlm = self._vlm, None
        if vlm is not None:
            release(vlm, "releasing the model")
        self._chip.close()


def open_vlm(settings: NpuSettings, hef: Path) -> NpuChat:
    """Open the chip and load the HEF, which takes seconds and blocks.

    Raises ModelMissing, HefRefused or ModelError for the file, DeviceLost for the chip.
    """
    chip = open_npu(settings)
    try:
        return NpuChat(chip, chip.vlm(hef))
    except Exception as error:
        why = _why_not_loaded(error, chip, hef, settings)
        chip.close()
        raise why from error


def _why_not_loaded(error: Exception, chip: Npu, hef: Path, settings: NpuSettings) -> Exception:
    number = hailort_status(error)
    if isinstance(error, ModelMissing | MemoryError):
        return error
    if number in HEF_REFUSED:
        return HefRefused(
            f"{hef}: HailoRT refuses this HEF ({status_text(number)}): expected one for the Hailo-10H, made"
            " for the installed version of HailoRT"
        )
    if number in HEF_DAMAGED:
        return ModelError(damaged_hef(hef, number))
    log.warning("HailoRT failed while loading the model", exc_info=error)
    version = chip.version
    if number == _INVALID_OPERATION and (
        number not in version.place_taken or later_release(hef, version.name)
    ):
        return DeviceLost(
            f"HailoRT {version.name} does not load {hef.name} ({status_text(number)}): it may be made for"
            " another version of HailoRT (`journalctl -t HailoRT`); install the model of the same release",
            retry_after=5,
        )
    if number in version.place_taken and chip.answers():
        return DeviceLost(
            f"the chip's one place for a language model is taken ({status_text(number)}): end the other"
            f" program that has a model on it{_whose()} (a group does not help, here {settings.group_id}:"
            " the chip holds one language model for all)",
            code=BUSY,
            retry_after=5,
        )
    return explain(error, "loading the model")


def _whose() -> str:
    found = nodes.holders(nodes.device_nodes())
    return ": " + ", ".join(map(str, found)) if found else ""

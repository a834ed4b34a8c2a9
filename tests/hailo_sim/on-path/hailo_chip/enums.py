"""The native enumerations that programs name."""

from __future__ import annotations

from enum import Enum, IntEnum

_MODULE = "hailo_platform.pyhailort._pyhailort"


class FormatType(Enum):
    """How a stream's numbers are stored on the host."""

    AUTO = 0
    UINT8 = 1
    UINT16 = 2
    FLOAT32 = 3


class FormatOrder(Enum):
    """How a stream's dimensions are ordered on the host; those that language models use."""

    AUTO = 0
    NHWC = 1
    NHCW = 2
    FCR = 3
    F8CR = 4
    NHW = 5
    NC = 6


class SchedulingAlgorithm(IntEnum):
    """Who decides which model runs on the chip."""

    NONE = 0
    ROUND_ROBIN = 1


class PowerMode(Enum):
    """How fast the chip's clock runs."""

    PERFORMANCE = 0
    ULTRA_PERFORMANCE = 1


class LLMGeneratorCompletionStatus(Enum):
    """What became of an answer, as of the chunk that was read last."""

    GENERATING = 0
    MAX_TOKENS_REACHED = 1
    LOGICAL_END_OF_GENERATION = 2
    ABORTED = 3


for _each in (FormatType, FormatOrder, SchedulingAlgorithm, PowerMode, LLMGeneratorCompletionStatus):
    _each.__module__ = _MODULE

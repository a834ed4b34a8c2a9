"""When an idle process wakes: all that looks around every few seconds does so at the same moment."""

from __future__ import annotations

import asyncio
import math


def shared(seconds: float) -> float:
    """How long to sleep instead of `seconds`: up to a whole second of the event loop's clock, as all others.

    Less than a second stays as it is.
    """
    now = asyncio.get_running_loop().time()
    return math.floor(now + seconds) - now if seconds >= 1 else seconds

"""When an idle process wakes: what looks around every few seconds does so together, not one after the other."""

from __future__ import annotations

import asyncio
import math


def shared(seconds: float) -> float:
    """How long to sleep instead of `seconds`: up to a whole second of the event loop's clock, as all others.

    Less than a second stays as it is.
    """
    now = asyncio.get_running_loop().time()
    return math.floor(now + seconds) - now if seconds >= 1 else seconds

"""Which stage of a model is at fault, when a trial run at load fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hailo_common.errors import EngineFailed, ModelError, Unavailable


@contextmanager
def naming_stage(stage: str) -> Iterator[None]:
    """Turn a failure of what runs inside into a ModelError that names the stage."""
    try:
        yield
    except (MemoryError, ModelError, Unavailable):
        raise
    except EngineFailed as error:
        raise ModelError(f"{stage}: expected finite numbers from a trial run") from error
    except Exception as error:
        raise ModelError(f"{stage}: expected to run on what the stage before it makes, and failed") from error

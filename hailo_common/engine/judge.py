"""Why an engine cannot be loaded: its files, which may be damaged, or what another try may mend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from hailo_common.engine.session import EngineGaveUpError
from hailo_common.engine.state import NO_PLACE, EngineState

MOST_CRASHES = 3
"""Loads in a row that end in a crash of the library, which no file that can be loaded causes."""
_CRASHES = tuple(f"killed by {name}" for name in ("SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE"))
_KNOWN = frozenset({"DeviceLost", "ModelMissing", "ModelError", "MemoryError", *NO_PLACE})
"""Errors of a load that say what they are. Any other one is a file's that nobody thought of."""
DAMAGED = "model_damaged"
"""The code of a model whose files are not what arrived."""

End: TypeAlias = "tuple[str, str, str]"
"""Reason, kind and code of an engine's end."""


@dataclass(frozen=True)
class DamagedFiles:
    """Files that are not what arrived, a text about each by path, and what is told and done about them."""

    files: Mapping[str, str]
    reason: str


class CheckFiles(Protocol):
    """Looks whether a model's files are what arrived."""

    async def __call__(self, model_dir: str, *, thorough: bool) -> DamagedFiles | None:
        """None for files that are; `thorough` reads all of them, which may take seconds."""
        ...


async def _unchecked(_model_dir: str, *, thorough: bool) -> DamagedFiles | None:  # noqa: ARG001
    return None


class LoadJudge:
    """Judges the loads of one supervisor, and writes what is damaged into its state."""

    def __init__(self, state: EngineState, check: CheckFiles | None) -> None:
        self._state = state
        self._check = check or _unchecked
        self._crashes = 0

    def reset(self) -> None:
        """Another model is to be loaded."""
        self._crashes = 0

    async def before(self, options: Mapping[str, Any]) -> None:
        """Raise EngineGaveUpError for files that were written to and are not what arrived."""
        end = await self._damage(_folder(options), thorough=False)
        if end is not None:
            reason, kind, code = end
            raise EngineGaveUpError(kind, reason, code)

    async def judge(self, end: End, options: Mapping[str, Any], *, loaded: bool) -> End:
        """The end of an engine that was `loaded` or not, seen with those before it.

        One that could not be loaded because its files are damaged may be once they are whole again. One that
        they crash again and again is not made once more.
        """
        reason, kind, _ = end
        crashed = not loaded and _is_crash(reason, kind)
        if crashed or (not loaded and kind == "ModelError"):
            damage = await self._damage(_folder(options), thorough=True)
            if damage is not None:
                self._crashes = 0
                return damage
        self._crashes = self._crashes + 1 if crashed else 0
        if self._crashes < MOST_CRASHES:
            return end
        return f"{options.get('model_dir', 'the model')}: {reason} while it loaded", "ModelError", ""

    async def _damage(self, folder: str, *, thorough: bool) -> End | None:
        found = await self._check(folder, thorough=thorough) if folder else None
        if found is None:
            return None
        state = self._state
        state.damages += len(found.files.keys() - state.damaged.keys())
        state.damaged = found.files
        return found.reason, "ModelMissing", DAMAGED


def _is_crash(reason: str, kind: str) -> bool:
    """Whether an engine that ended so while it loaded crashed, or met an error that nobody thought of."""
    return reason.endswith(_CRASHES) or (bool(kind) and kind not in _KNOWN)


def _folder(options: Mapping[str, Any]) -> str:
    return str(options.get("model_dir", ""))

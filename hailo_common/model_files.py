"""A service and the files of its models: what is damaged is told, and brought again where somebody can."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from hailo_common.engine.judge import DamagedFiles
from hailo_common.models.integrity import FileCheck, complain

log = logging.getLogger(__name__)

_SHOWN = 3


class ModelFiles:
    """See `hailo_common.engine.judge.CheckFiles`."""

    def __init__(self) -> None:
        self._check = FileCheck()
        self._told: dict[Path, tuple[tuple[str, ...], bool]] = {}

    async def __call__(self, model_dir: str, *, thorough: bool) -> DamagedFiles | None:
        """See `CheckFiles`."""
        folder = Path(model_dir)
        found = await asyncio.to_thread(self._check.damaged, folder, thorough=thorough)
        if not found:
            self._told.pop(folder, None)
            return None
        texts = tuple(each.text() for each in found)
        shown = "; ".join(texts[:_SHOWN]) + ("; ..." if len(texts) > _SHOWN else "")
        reason = f"the model {folder.name} is damaged: {shown}; {self._remedy(folder, texts)}"
        return DamagedFiles({each.path: each.text() for each in found}, reason)

    def _remedy(self, folder: Path, files: tuple[str, ...]) -> str:
        """Say it and ask for it once, however often the model is tried."""
        told, asked = self._told.get(folder, ((), False))
        if told != files:
            fields = {"EVT": "model_damaged", "MODEL": folder.name}
            log.error("%s: damaged: %s", folder, "; ".join(files), extra={"fields": fields})
            asked = complain(folder)
            self._told[folder] = files, asked
        if asked:
            return "hailo-fetch was asked to bring it again (journalctl --unit hailo-fetch)"
        return f"to fetch what is bad again: hailo-ctl models fetch --verify {folder.name}"

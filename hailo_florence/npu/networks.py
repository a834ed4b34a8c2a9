"""Which stages of a model folder go onto the chip: HEFs found, brought onto it, or refused with a reason."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hailo_common.errors import DeviceLost, ModelError, ServiceError
from hailo_common.inference.backend import BackendChoice
from hailo_common.npu.errors import (
    HEF_DAMAGED,
    HEF_REFUSED,
    WRONG,
    damaged_hef,
    explain,
    hailort_status,
    status_text,
)
from hailo_common.npu.hailort import Npu, NpuSettings, open_npu
from hailo_common.npu.network import Network

_ENDS = {"text_encoder": "encoder", "decoder": "decoder"}


@dataclass
class OnChip:
    """What is on the chip; `choices` say for every stage where it runs after all."""

    choices: dict[str, BackendChoice]
    chip: Npu | None = None
    networks: dict[str, Network] = field(default_factory=dict)

    def prove(self) -> None:
        """Run one of them on whatever its inputs hold; raises DeviceLost where the chip has dropped it."""
        for network in list(self.networks.values())[:1]:
            network.run()


def find_hefs(folder: Path) -> dict[str, Path]:
    """The folder's `*encoder.hef` and `*decoder.hef` by stage. Raises ModelError for two of a stage."""
    found: dict[str, Path] = {}
    for path in sorted(folder.glob("*.hef")):
        stage = next((stage for stage, end in _ENDS.items() if path.stem.lower().endswith(end)), None)
        if stage is None or "vision" in path.stem.lower():
            continue
        if stage in found:
            raise ModelError(
                f"{path}: expected one HEF of the {stage}, but there is {found[stage].name}, too"
            )
        found[stage] = path
    return found


def load_networks(
    made: ExitStack,
    hefs: Mapping[str, Path],
    choices: Mapping[str, BackendChoice],
    wanted: str,
    npu: Mapping[str, Any],
) -> OnChip:
    """Open the chip and bring onto it what was chosen for it; `made` closes all of it.

    A HEF that this chip refuses leaves its stage to the CPU. Raises DeviceLost, ModelError, ModelMissing.
    """
    on_chip = OnChip(dict(choices))
    asked = [name for name, choice in choices.items() if choice.backend == "npu"]
    if not asked:
        return on_chip
    settings = NpuSettings.read(npu)
    try:
        chip = made.enter_context(open_npu(settings))
    except DeviceLost as error:
        if wanted != "auto" or error.code != WRONG:
            raise
        on_chip.choices.update(dict.fromkeys(asked, BackendChoice("cpu", error.message, fell_back=True)))
        return on_chip
    for name in asked:
        try:
            network = made.enter_context(Network(chip, hefs[name], settings.open_timeout_s))
        except Exception as error:
            on_chip.choices[name] = _fallen_back(hefs[name], error)
        else:
            on_chip.networks[name] = network
    return _settled(on_chip, chip, wanted)


def _settled(on_chip: OnChip, chip: Npu, wanted: str) -> OnChip:
    """The same with the chip that runs something; one that runs nothing is given back."""
    if on_chip.networks:
        on_chip.chip = chip
        return on_chip
    chip.close()
    if wanted == "npu":
        reasons = dict.fromkeys(choice.reason for choice in on_chip.choices.values() if choice.fell_back)
        raise ModelError(f"backend npu was asked for, but no stage runs on this chip: {'; '.join(reasons)}")
    return on_chip


def _fallen_back(path: Path, error: Exception) -> BackendChoice:
    """The CPU, for a HEF that the chip refuses; raises the error's explanation for all else."""
    number = hailort_status(error)
    if isinstance(error, ServiceError | ModelError) or number is None:
        raise error
    if number in HEF_REFUSED:
        reason = (
            f"{path.name} was made for another chip or another HailoRT"
            f" ({status_text(number)}): compile it for the"
            " Hailo-10H as docs/hailo-compile.md says"
        )
        return BackendChoice("cpu", reason, fell_back=True)
    if number in HEF_DAMAGED:
        raise ModelError(damaged_hef(path, number)) from error
    raise explain(error, f"bringing {path.name} onto the chip") from error

"""What transformers answers to a case, in the engine's way of counting. Needs torch (through `reference`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from transformers import GenerationConfig

from hailo_common.engine.contract import RgbImage
from tests.hailo_florence.cases import SETTINGS, Case
from tests.oracle.reference import Reference


def configure(reference: Reference, folder: Path, settings: str) -> None:
    """Give the reference the folder's generation settings, changed by one entry of `SETTINGS`."""
    values = json.loads((folder / "generation_config.json").read_text()) | SETTINGS[settings]
    reference.model.generation_config = GenerationConfig.from_dict(
        {key: value for key, value in values.items() if value is not None}
    )


def expected(reference: Reference, case: Case, image: RgbImage, **search: Any) -> list[int]:
    """Token ids of the answer, BOS and EOS included; `search` is what beams are searched with.

    transformers counts the start token, BOS and EOS in its lengths; whether an answer begins with BOS that
    is not forced shows only afterwards. Where no EOS is forced, its last token at the limit is not kept.
    """
    settings = reference.model.generation_config
    forced = settings.forced_bos_token_id
    tokens = _generate(reference, case, image, int(forced is not None), search)
    if forced is None and tokens[0] == settings.bos_token_id:
        tokens = _generate(reference, case, image, 1, search)
    ends = settings.eos_token_id if isinstance(settings.eos_token_id, list) else [settings.eos_token_id]
    cut = settings.forced_eos_token_id is None and tokens[-1] not in ends
    return tokens[:-1] if cut else tokens


def _generate(
    reference: Reference, case: Case, image: RgbImage, lead: int, search: dict[str, Any]
) -> list[int]:
    lengths = {"max_length": 1 + lead + case.max_length + 1}
    if case.min_length is not None:
        lengths["min_length"] = 1 + lead + case.min_length if case.min_length else 0
    return reference.generate(image, case.prompt, **lengths, **search)

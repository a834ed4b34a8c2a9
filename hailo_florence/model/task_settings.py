"""What a model folder says about tasks: those it was made for, and phrases that stand for no thing."""

from __future__ import annotations

from typing import Any

from hailo_common.errors import ModelError
from hailo_common.inference.model_dir import ModelDir
from hailo_florence.model.places import NOT_THINGS
from hailo_florence.protocol import TASKS

_CARD, _PROCESSOR = "model_card.json", "processor_config.json"


def read_tasks(folder: ModelDir) -> frozenset[str]:
    """The names in `tasks` of `model_card.json`; all tasks where there is no such list. Raises ModelError."""
    listed = folder.optional_json(_CARD).get("tasks")
    if listed is None:
        return frozenset(TASKS)
    if not isinstance(listed, list) or not all(isinstance(name, str) and name in TASKS for name in listed):
        raise ModelError(f"{_CARD}: expected names of tasks for 'tasks': {', '.join(TASKS)}")
    return frozenset(listed)


def read_not_things(folder: ModelDir) -> frozenset[str]:
    """`banned_grounding_tokens` of `processor_config.json`, else the publisher's. Raises ModelError."""
    found: Any = folder.optional_json(_PROCESSOR)
    for key in ("post_processor_config", "phrase_grounding", "banned_grounding_tokens"):
        found = found.get(key) if isinstance(found, dict) else None
    if found is None:
        return NOT_THINGS
    if not isinstance(found, list) or not all(isinstance(phrase, str) for phrase in found):
        raise ModelError(f"{_PROCESSOR}: expected a list of strings for 'banned_grounding_tokens'")
    return frozenset(found)

"""The client's side of a prompt: the model's chat template, and what changes after the first turn.

Source: HailoRT's `minja_wrapper.cpp`. A later turn is rendered behind a made-up first message, and what the
template wrote for that one is cut off by its length.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from jinja2 import Environment

from hailo_chip.settings import is_old
from hailo_chip.statuses import HailoRTStatusException, failed

_MADE_UP = {"role": "TMP", "content": "TMP"}


class Template:
    """One model's chat template and whether a turn was rendered since the context was cleared."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._compiled = Environment(trim_blocks=True, lstrip_blocks=True).from_string(source)
        self._cut = len(self._render([_MADE_UP], generation=False))
        self.first = True

    def render(self, messages: Sequence[str]) -> str:
        """The prompt of messages in JSON. Raises status 6 for a late system message (5.2.0), or 8."""
        try:
            parsed: list[dict[str, Any]] = [json.loads(message) for message in messages]
            if self.first:
                self.first = False
                return self._render(parsed, generation=True)
            if not is_old() and any(message.get("role") == "system" for message in parsed):
                raise failed("INVALID_OPERATION")
            return self._render([_MADE_UP, *parsed], generation=True)[self._cut :]
        except HailoRTStatusException:
            raise
        except Exception:
            raise failed("INTERNAL_FAILURE") from None

    def _render(self, messages: Sequence[dict[str, Any]], *, generation: bool) -> str:
        return self._compiled.render(messages=messages, add_generation_prompt=generation)

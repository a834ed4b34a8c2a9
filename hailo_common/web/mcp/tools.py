"""What a tool is: its description for a model, and the two steps of a call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hailo_common.resources import Closeable

IMAGE = {
    "type": "string",
    "description": "The image as a data: URL (data:image/jpeg;base64,...) or in plain base64.",
}
"""The schema of an image among the arguments."""


@dataclass(frozen=True)
class ToolAnswer:
    """A text for the model that asked, and the same as an object that fits `output_schema`."""

    text: str
    structured: dict[str, Any]


class ToolCall(Closeable):
    """A checked call, with the images that it needs, until `close`."""

    async def run(self) -> ToolAnswer:
        """The answer. Raises ServiceError; cancelling it cancels the work."""
        raise NotImplementedError


@dataclass(frozen=True)
class Tool:
    """One tool; schemas are JSON Schema's, both of objects.

    `read` checks the arguments and keeps no reference to them; it raises ServiceError. `available` is asked
    for each list.
    """

    name: str
    title: str
    description: str
    input_schema: dict[str, Any]
    output_schema: dict[str, Any]
    read: Callable[[dict[str, Any]], ToolCall]
    available: Callable[[], bool] = field(default=lambda: True)

    def listed(self) -> dict[str, Any]:
        """The tool as `tools/list` names it. It changes nothing and reaches nothing outside."""
        return {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "inputSchema": self.input_schema,
            "outputSchema": self.output_schema,
            "annotations": {"title": self.title, "readOnlyHint": True, "openWorldHint": False},
        }

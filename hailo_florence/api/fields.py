"""The fields of every request, and which task of the model each request stands for."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from hailo_common.errors import InvalidParameter
from hailo_common.images import SAMPLE
from hailo_florence.protocol import TASKS

MAX_SEED = 2**63 - 1
MAX_QUESTION = 4000
MAX_BEAMS = 5
GENERATION = ("max_length", "min_length", "temperature", "seed", "num_beams")
"""The fields of `Fields` that say how an answer is made."""


def _numbers(value: Any) -> Any:
    """A form's `x0,y0,x1,y1` as a list; what JSON brought stays."""
    return value.split(",") if isinstance(value, str) else value


Box = Annotated[
    list[float],
    Field(min_length=4, max_length=4, description="x0, y0, x1, y1; in a form as x0,y0,x1,y1."),
    BeforeValidator(_numbers),
]


def _flag_or_name(value: Any) -> Any:
    """A form's `true` as what JSON has; all other texts are names."""
    return {"true": True, "false": False}.get(value.lower(), value) if isinstance(value, str) else value


Name = Annotated[str, Field(min_length=1, max_length=64)]
Text = Annotated[str, Field(min_length=1, max_length=MAX_QUESTION)]


def _example(**fields: Any) -> ConfigDict:
    return ConfigDict(extra="ignore", json_schema_extra={"examples": [{"image": SAMPLE, **fields}]})


class Fields(BaseModel):
    """The fields that every request has. Unknown fields are ignored."""

    model_config = _example()

    max_length: int | None = Field(None, description="Most tokens of the answer.")
    min_length: int | None = Field(None, description="Fewest tokens of the answer.")
    temperature: float = Field(0.0, ge=0, le=1, description="0 is deterministic.")
    seed: int | None = Field(None, ge=0, le=MAX_SEED, description="Makes sampling repeatable.")

    num_beams: int = Field(
        1, ge=1, le=MAX_BEAMS, description="Answers weighed against each other; each costs a decoder's time."
    )

    stream: Annotated[bool | Name, BeforeValidator(_flag_or_name)] = Field(
        False, description="true: server-sent events, as the answer comes. A text is a camera's name."
    )
    camera: Name | None = Field(
        None, description="While this camera's picture does not change, its last answer is given again."
    )
    threshold: float | None = Field(
        None, gt=0, le=1, description="Share of the camera's picture that must change for a new answer."
    )

    def watched(self) -> str | None:
        """The camera's name, if the image is of one. Raises InvalidParameter where fields contradict."""
        named = self.stream if isinstance(self.stream, str) else None
        if named and self.camera and named != self.camera:
            raise InvalidParameter("camera and stream name two cameras.", param="stream")
        camera = self.camera or named
        if self.threshold is not None and camera is None:
            raise InvalidParameter("threshold needs the name of a camera.", param="threshold")
        return camera

    def asked(self) -> str:
        """What is asked, without how it is answered: equal texts ask the same."""
        return self.model_dump_json(exclude={"stream", "camera", "threshold"})

    def task(self) -> str:
        """The task's name in `TASKS`. Raises InvalidParameter where fields exclude each other."""
        raise NotImplementedError

    def words(self) -> str | None:
        """The text that goes with the task."""
        text: str | None = getattr(self, "text", None)
        return text


class CaptionFields(Fields):
    """A description of the image."""

    detail: Literal["short", "detailed", "more"] = Field("short", description="How much is told.")

    def task(self) -> str:
        """See `Fields.task`."""
        return {"short": "caption", "detailed": "detailed_caption", "more": "more_detailed_caption"}[
            self.detail
        ]


class VqaFields(Fields):
    """The fields of a question about an image."""

    model_config = _example(question="What color is the circle?")

    question: Text = Field(description="In plain words.")

    def task(self) -> str:
        """See `Fields.task`."""
        return "vqa"

    def words(self) -> str | None:
        """See `Fields.words`."""
        return self.question


class PlaceFields(Fields):
    """The fields of all that takes or tells places."""

    normalised: bool = Field(
        False, description="Places in shares of the image's sides (0 to 1) instead of pixels, both ways."
    )


class DetectFields(PlaceFields):
    """Things in the image, with their boxes."""

    kind: Literal["objects", "regions", "proposals"] = Field(
        "objects",
        description="objects by category, regions with a description each, proposals without label.",
    )
    text: Text | None = Field(None, description="What to look for, in plain words, instead of `kind`.")

    def task(self) -> str:
        """See `Fields.task`."""
        if self.text is not None:
            return "open_vocabulary_detection"
        return {"objects": "od", "regions": "dense_region_caption", "proposals": "region_proposal"}[self.kind]


class GroundFields(PlaceFields):
    """The boxes of what a caption speaks of."""

    model_config = _example(text="A red circle.")

    text: Text = Field(description="A caption whose phrases are to be found.")

    def task(self) -> str:
        """See `Fields.task`."""
        return "caption_to_phrase_grounding"


class SegmentFields(PlaceFields):
    """The outline of one thing: what a text names, or what is in a box."""

    model_config = _example(text="the red circle")

    text: Text | None = Field(None, description="What to outline, in plain words; or `box`.")
    box: Box | None = Field(None, description="Where it is: x0, y0, x1, y1; or `text`.")

    def task(self) -> str:
        """See `Fields.task`."""
        if (self.text is None) == (self.box is None):
            raise InvalidParameter("Either text or box is needed, and not both.", param="text")
        return "region_to_segmentation" if self.text is None else "referring_expression_segmentation"


class OcrFields(PlaceFields):
    """The text in the image, or in a box of it."""

    regions: bool = Field(False, description="Each text with the four corners around it.")
    box: Box | None = Field(None, description="Read only here: x0, y0, x1, y1.")

    def task(self) -> str:
        """See `Fields.task`."""
        if self.box is None:
            return "ocr_with_region" if self.regions else "ocr"
        if self.regions:
            raise InvalidParameter("regions and box exclude each other.", param="regions")
        return "region_to_ocr"


class RegionFields(PlaceFields):
    """What is in a box."""

    model_config = _example(box=[20, 20, 76, 76])

    box: Box = Field(description="x0, y0, x1, y1; in a form as x0,y0,x1,y1.")
    detail: Literal["category", "description"] = Field("category", description="How much is told.")

    def task(self) -> str:
        """See `Fields.task`."""
        return f"region_to_{self.detail}"


class TaskFields(PlaceFields):
    """What a task of the model takes."""

    text: Text | None = Field(None, description="For a task that takes a text.")
    box: Box | None = Field(None, description="For a task that takes a region.")

    def for_task(self, name: str) -> None:
        """Raise InvalidParameter where what the task takes is missing, or there is what it does not take."""
        takes = {"text": "text", "region": "box", "": ""}[TASKS[name].takes]
        for field in ("text", "box"):
            given = getattr(self, field) is not None
            if given != (field == takes):
                message = f"{field} is not taken by this task." if given else f"{field} is required."
                raise InvalidParameter(message, param=field)

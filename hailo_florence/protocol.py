"""What crosses between hailo-florence's HTTP process and its engine: one image and a task in, one text out.

The API has checked every field before a `FlorenceRequest` is made. Loads no numpy: both processes use it.

Source of tasks, prompts and what each answers with: transformers 5.23, `Florence2Processor`, but for `<VQA>`,
which is no task of that processor.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Self

from hailo_common.engine.contract import EngineInfo, EngineResult, OwnedRequest

LOCATIONS = 1000
"""Steps into which `<loc_0>` to `<loc_999>` divide each side of an image."""

Gives = Literal["text", "boxes", "proposals", "phrases", "quads", "polygons", "boxes or polygons"]


@dataclass(frozen=True)
class TaskSpec:
    """A task: its token, its prompt, what it takes besides the image, and how its answer is read.

    `least` is how many tokens an answer must have room for, for the task to be of any use.
    """

    token: str
    prompt: str
    takes: Literal["", "text", "region"]
    gives: Gives
    least: int

    @property
    def needs_locations(self) -> bool:
        """True when prompt or answer has location tokens."""
        return self.takes == "region" or self.gives != "text"


TASKS = {
    "caption": TaskSpec("<CAPTION>", "What does the image describe?", "", "text", 1),
    "detailed_caption": TaskSpec(
        "<DETAILED_CAPTION>", "Describe in detail what is shown in the image.", "", "text", 40
    ),
    "more_detailed_caption": TaskSpec(
        "<MORE_DETAILED_CAPTION>", "Describe with a paragraph what is shown in the image.", "", "text", 80
    ),
    "od": TaskSpec("<OD>", "Locate the objects with category name in the image.", "", "boxes", 24),
    "dense_region_caption": TaskSpec(
        "<DENSE_REGION_CAPTION>", "Locate the objects in the image, with their descriptions.", "", "boxes", 40
    ),
    "region_proposal": TaskSpec(
        "<REGION_PROPOSAL>", "Locate the region proposals in the image.", "", "proposals", 16
    ),
    "caption_to_phrase_grounding": TaskSpec(
        "<CAPTION_TO_PHRASE_GROUNDING>", "Locate the phrases in the caption: {input}", "text", "phrases", 16
    ),
    "open_vocabulary_detection": TaskSpec(
        "<OPEN_VOCABULARY_DETECTION>", "Locate {input} in the image.", "text", "boxes or polygons", 8
    ),
    "referring_expression_segmentation": TaskSpec(
        "<REFERRING_EXPRESSION_SEGMENTATION>", "Locate {input} in the image with mask", "text", "polygons", 64
    ),
    "region_to_segmentation": TaskSpec(
        "<REGION_TO_SEGMENTATION>", "What is the polygon mask of region {input}", "region", "polygons", 64
    ),
    "region_to_category": TaskSpec(
        "<REGION_TO_CATEGORY>", "What is the region {input}?", "region", "text", 4
    ),
    "region_to_description": TaskSpec(
        "<REGION_TO_DESCRIPTION>", "What does the region {input} describe?", "region", "text", 16
    ),
    "region_to_ocr": TaskSpec("<REGION_TO_OCR>", "What text is in the region {input}?", "region", "text", 8),
    "ocr": TaskSpec("<OCR>", "What is the text in the image?", "", "text", 16),
    "ocr_with_region": TaskSpec(
        "<OCR_WITH_REGION>", "What is the text in the image, with regions?", "", "quads", 24
    ),
    "vqa": TaskSpec("<VQA>", "<VQA>{input}", "text", "text", 1),
}
"""Every task by its name, which is its token in lower case."""


ABLE = "florence-2-base-ft-onnx"
"""The model of the manifest that can do every task, on the CPU."""


def obstacle(task: str, info: EngineInfo) -> str:
    """Why the loaded model cannot do a task, and which one can; "" where it can itself."""
    why = _lack(task, info)
    return f"{why} {ABLE} can, on the CPU: sudo hailo-ctl models fetch {ABLE}" if why else ""


def _lack(task: str, info: EngineInfo) -> str:
    spec, limits = TASKS[task], info.limits
    if spec.needs_locations and not limits.get("location_bins", LOCATIONS):
        return "The loaded model has no location tokens, so it can neither take nor name a place."
    if limits.get("max_length", spec.least) < spec.least:
        return (
            f"An answer to this task needs room for {spec.least} tokens or more, and the decoder has"
            f" {limits['max_length']}."
        )
    if info.capabilities.get(task, False):
        return ""
    if task == "vqa":
        return "The loaded model has no embedding of questions or no room for one, so it cannot answer any."
    return "The loaded model was not made for this task, or has no room for its prompt."


@dataclass(frozen=True, kw_only=True)
class FlorenceRequest(OwnedRequest):
    """Lengths are in answer tokens, None the model's own minimum; `temperature` 0 is greedy; more
    than one of `num_beams` searches, and then it is 0.

    `task` is a key of `TASKS`; `question` is the text it takes: a question, a phrase, a caption. `region` is
    (x0, y0, x1, y1) in steps of `LOCATIONS`. `size` is (width, height) of the image as it was sent, in whose
    pixels places are told; None tells them in shares of the sides. `stream` asks for a text's pieces as they
    come, instead of tokens.
    """

    task: str
    question: str | None = None
    region: tuple[int, ...] | None = None
    size: tuple[int, int] | None = None
    max_length: int
    min_length: int | None = None
    temperature: float = 0.0
    seed: int | None = None
    num_beams: int = 1
    stream: bool = False

    def to_json(self) -> dict[str, Any]:
        """The same as a JSON object."""
        return dict(vars(self))

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """The inverse of `to_json`."""
        return cls(**value)


@dataclass(frozen=True, kw_only=True)
class FlorenceResult(EngineResult):
    """One text; `completion_tokens` leaves special tokens out. Seconds are by stage.

    `cached` says that the image was not encoded again. `raw` is the answer with all its special tokens,
    `places` what is found in it: `label` and one of `box` (x0, y0, x1, y1), `quad` (four points) and
    `polygons` (a list of lists of points), each a flat list.
    """

    completion_tokens: int
    vision_seconds: float
    encoder_seconds: float
    decode_seconds: float
    cached: bool = False
    raw: str = ""
    places: list[dict[str, Any]] = field(default_factory=list)

"""What may be asked, each with its own fields and reply: by routes, and by tools."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hailo_florence.api.fields import (
    CaptionFields,
    DetectFields,
    Fields,
    GroundFields,
    OcrFields,
    RegionFields,
    SegmentFields,
    VqaFields,
)
from hailo_florence.api.replies import (
    CaptionReply,
    ObjectsReply,
    OcrReply,
    Reply,
    TextReply,
    VqaReply,
    caption_reply,
    objects_reply,
    ocr_reply,
    text_reply,
    vqa_reply,
)
from hailo_florence.protocol import FlorenceResult


@dataclass(frozen=True)
class Kind:
    """A kind of request: its name in addresses, what is told of it, its fields, and how its reply is made."""

    name: str
    summary: str
    description: str
    fields: type[Fields]
    reply: type[Reply]
    write: Callable[[FlorenceResult, Fields, dict[str, Any]], Reply]


CAPTION = Kind(
    "caption",
    "Describe an image",
    "A caption. The image comes as a data URI in JSON, or as a file in a form; `images` are several.",
    CaptionFields,
    CaptionReply,
    caption_reply,
)
VQA = Kind(
    "vqa",
    "Answer a question about an image",
    "The answer to a question about an image.",
    VqaFields,
    VqaReply,
    vqa_reply,
)
DETECT = Kind(
    "detect",
    "Find things in an image",
    "Things with their boxes: of known categories, with descriptions, without labels, or as a text says.",
    DetectFields,
    ObjectsReply,
    objects_reply,
)
GROUND = Kind(
    "ground",
    "Find what a caption speaks of",
    "The phrases of a caption with the boxes of what they speak of.",
    GroundFields,
    ObjectsReply,
    objects_reply,
)
SEGMENT = Kind(
    "segment",
    "Outline a thing",
    "The outline of what a text names, or of what is in a box.",
    SegmentFields,
    ObjectsReply,
    objects_reply,
)
OCR = Kind(
    "ocr",
    "Read the text in an image",
    "The text in an image or in a box of it, with the corners around each text where asked for.",
    OcrFields,
    OcrReply,
    ocr_reply,
)
REGION = Kind(
    "region",
    "Say what is in a box",
    "The category or a description of what is in a box.",
    RegionFields,
    TextReply,
    text_reply,
)
KINDS = (CAPTION, VQA, DETECT, GROUND, SEGMENT, OCR, REGION)

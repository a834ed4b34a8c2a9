"""The names of the kinds of things that the eye knows: COCO's 80, in their usual order."""

from training.things.kinds import KINDS as KINDS_WITH_WORDS

KINDS = tuple(kind.name for kind in KINDS_WITH_WORDS)

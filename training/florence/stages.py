"""The stages of training: vision alone, language on cached features, everything together."""

from __future__ import annotations

import random
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from torch import nn
from transformers import Florence2ForConditionalGeneration

from training.florence.batches import Images, Wording
from training.florence.objectives import language_loss, vision_loss
from training.scenes.dataset import Drawn, normalised
from training.scenes.team import run_steps
from training.scenes.trainee import EASY, Trainee

Losses = tuple[torch.Tensor, dict[str, float]]


@dataclass(kw_only=True)
class Work(Trainee):
    """Training of hailo-florence's demo model."""

    model: Florence2ForConditionalGeneration
    drawn: Drawn
    tokenizer: Tokenizer

    def vision_parameters(self) -> list[nn.Parameter]:
        """Parameters of the vision tower and the projector."""
        parts = self.model.model.vision_tower, self.model.model.multi_modal_projector
        return [parameter for part in parts for parameter in part.parameters()]

    def language_parameters(self) -> list[nn.Parameter]:
        """Parameters of BART, the tied output layer included once."""
        return list(self.model.model.language_model.parameters())


def train_vision(work: Work, steps: int, easy_steps: int, rate: float = 1.6e-3) -> None:
    """The vision tower and projector learn what each image token shows.

    It begins with large objects and little noise: on all scenes it sees colours at once, but shapes
    not even after 35,000 pictures.
    """
    easy = Images(work.drawn, work.share(EASY, 10.0), work.seed + work.team.rank)
    every = Images(work.drawn, work.share(), work.seed + 5 + work.team.rank)
    done = 0

    def loss_of() -> Losses:
        nonlocal done
        done += 1
        pixels, labels, _ = (easy if done <= easy_steps else every).batch(work.batch // 2)
        features = work.model.get_image_features(pixels).pooler_output
        loss, shape, colour = vision_loss(work.head, features[:, 1:], labels)
        return loss, {"loss": loss.item(), "shape": shape, "colour": colour}

    run_steps(
        work.team, "vision", steps, [([*work.vision_parameters(), *work.head.parameters()], rate)], loss_of
    )


@torch.no_grad()
def _cached(work: Work, indices: list[int]) -> torch.Tensor:
    """Image features of the scenes in float16 [scenes, 65, width]."""
    parts = []
    for first in range(0, len(indices), 100):
        rows = indices[first : first + 100]
        pixels = torch.from_numpy(normalised(work.drawn.images[rows]))
        with torch.autocast("cpu", torch.bfloat16):
            parts.append(work.model.get_image_features(pixels).pooler_output.half())
    return torch.cat(parts)


def train_language(work: Work, steps: int, scenes: int, rate: float = 1.5e-3) -> None:
    """BART learns to speak from features that no longer change."""
    indices = work.share()[: scenes // work.team.size]
    features = _cached(work, indices)
    work.team.say("features cached:", len(features), "in each process")
    wording = Wording(work.tokenizer)
    rng = random.Random(work.seed + 10 + work.team.rank)

    def loss_of() -> Losses:
        rows = [rng.randrange(len(indices)) for _ in range(work.batch)]
        texts = wording.texts([work.drawn.scenes[indices[row]] for row in rows], rng)
        loss = language_loss(work.model, features[rows].float(), texts)
        return loss, {"loss": loss.item()}

    run_steps(work.team, "language", steps, [(work.language_parameters(), rate)], loss_of)


@dataclass(frozen=True)
class Joint:
    """A run of the joint stage: learning rates, weight of the vision loss, and what it draws.

    `turn` sets runs apart, so that each draws other flips and questions.
    """

    turn: int
    rate: float
    vision_share: float
    seen_weight: float
    questions: int
    by_object: bool


FIRST_JOINT = Joint(0, 8e-4, 0.6, 0.3, 3, by_object=False)
SECOND_JOINT = Joint(1, 7e-4, 0.8, 0.5, 2, by_object=True)
THIRD_JOINT = Joint(2, 6e-4, 0.8, 0.5, 2, by_object=True)
LATE_JOINT = Joint(3, 6e-4, 0.8, 0.5, 2, by_object=True)
LAST_JOINT = Joint(4, 6e-4, 0.9, 0.6, 2, by_object=True)


def train_jointly(work: Work, steps: int, plan: Joint) -> None:
    """All parameters, on both tasks."""
    images = Images(work.drawn, work.share(), work.seed + 20 + 7 * plan.turn + work.team.rank)
    wording = Wording(work.tokenizer, plan.questions)
    rng = random.Random(work.seed + 30 + 7 * plan.turn + work.team.rank)

    def loss_of() -> Losses:
        pixels, labels, scenes = images.batch(work.batch)
        features = work.model.get_image_features(pixels).pooler_output
        seen, shape, colour = vision_loss(work.head, features[:, 1:], labels, by_object=plan.by_object)
        spoken = language_loss(work.model, features, wording.texts(scenes, rng))
        figures = {"loss": spoken.item(), "vision": seen.item(), "shape": shape, "colour": colour}
        return spoken + plan.seen_weight * seen, figures

    groups = [
        ([*work.vision_parameters(), *work.head.parameters()], plan.rate * plan.vision_share),
        (work.language_parameters(), plan.rate),
    ]
    run_steps(work.team, "joint", steps, groups, loss_of)

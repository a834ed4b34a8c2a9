"""Stages of training the chat demo model: vision alone, language on cached features, everything together."""

from __future__ import annotations

import random
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional
from transformers import Qwen2VLForConditionalGeneration

from training.chat.chat_batches import Coder, Told, conversations
from training.chat.chat_pictures import Batch, Drawn, Images
from training.chat.places import PlaceHead, place_loss
from training.chat.qwen_model import see
from training.florence.objectives import vision_loss
from training.scenes.team import run_steps
from training.scenes.trainee import EASY, Trainee

Losses = tuple[torch.Tensor, dict[str, float]]


@dataclass(kw_only=True)
class ChatWork(Trainee):
    """Training of hailo-vision's demo model."""

    model: Qwen2VLForConditionalGeneration
    head: PlaceHead
    drawn: Drawn
    coder: Coder

    def images(self, turn: int, indices: list[int] | None = None) -> Images:
        """This process's scenes, or those of `indices`; `turn` sets the uses apart."""
        chosen = self.share() if indices is None else indices
        return Images(self.drawn, chosen, self.seed + 100 * turn + self.team.rank)


def told_loss(
    model: Qwen2VLForConditionalGeneration, features: torch.Tensor, parts: list[Told]
) -> torch.Tensor:
    """Mean cross-entropy of the answers' tokens; `features` float [image tokens, width]."""
    total, count = torch.zeros(()), 0
    for told in parts:
        hidden = hidden_states(model, features, told)
        wanted = told.learnt[:, 1:]
        logits = model.lm_head(hidden[:, :-1][wanted]).float()
        total = total + functional.cross_entropy(logits, told.ids[:, 1:][wanted], reduction="sum")
        count += int(wanted.sum())
    return total / count


def hidden_states(model: Qwen2VLForConditionalGeneration, features: torch.Tensor, told: Told) -> torch.Tensor:
    """Last hidden states, float [chats, tokens, width]. Padding stands last, where nobody looks back."""
    embedded = model.get_input_embeddings()(told.ids)
    if len(features):
        seen = features.to(embedded.dtype)[told.sources.clamp(min=0)]
        embedded = torch.where((told.sources >= 0)[..., None], seen, embedded)
    return model.model.language_model(
        inputs_embeds=embedded, position_ids=told.positions, use_cache=False
    ).last_hidden_state


def seen_loss(head: PlaceHead, features: torch.Tensor, batch: Batch, *, by_object: bool) -> Losses:
    """Loss of what image tokens show and of who stands where; `features` float [pictures, cells, width]."""
    loss, shape, colour = vision_loss(head, features, batch.labels, by_object=by_object)
    placed, related = place_loss(head, features, batch.places, batch.labels[..., 5])
    figures = {"vision": loss.item(), "shape": shape, "colour": colour, "places": placed.item()}
    return loss + 2 * placed, {**figures, "related": related}


def train_vision(work: ChatWork, steps: int, easy_steps: int, rate: float = 1.5e-3, *, turn: int = 1) -> None:
    """The vision part learns what each image token shows, large objects first."""
    easy, every = work.images(turn, work.share(EASY, 10.0)), work.images(turn + 1)
    done = 0

    def loss_of() -> Losses:
        nonlocal done
        done += 1
        batch = (easy if done <= easy_steps else every).batch(work.batch)
        features = see(work.model, batch.patches, batch.grid)
        return seen_loss(work.head, features, batch, by_object=done > easy_steps)

    parameters = [*work.model.model.visual.parameters(), *work.head.parameters()]
    run_steps(work.team, "vision", steps, [(parameters, rate)], loss_of)


def _language(model: Qwen2VLForConditionalGeneration) -> list[nn.Parameter]:
    return list(model.model.language_model.parameters())


def _flat(parts: list[torch.Tensor]) -> torch.Tensor:
    return torch.cat([part.flatten(0, 1) for part in parts])


def train_language(
    work: ChatWork, steps: int, batches: int, rate: float = 1.5e-3, *, turn: int = 3, pairs: float = 0.5
) -> None:
    """The language part learns to speak from features that no longer change; `pairs` as `conversations`."""
    images = work.images(turn)
    rng = random.Random(work.seed + 7 + turn + work.team.rank)
    cached: list[tuple[Batch, torch.Tensor]] = []
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        for _ in range(batches):
            batch = images.batch(work.batch // 2)
            cached.append((batch, see(work.model, batch.patches, batch.grid).half()))
    work.team.say("features cached:", batches * (work.batch // 2), "in each process")

    def loss_of() -> Losses:
        chosen = rng.sample(cached, 2)
        told = conversations([batch for batch, _ in chosen], work.coder, rng, pairs)
        loss = told_loss(work.model, _flat([features.float() for _, features in chosen]), told)
        return loss, {"loss": loss.item()}

    run_steps(work.team, "language", steps, [(_language(work.model), rate)], loss_of)


def train_jointly(work: ChatWork, turn: int, steps: int, rate: float, seen_weight: float = 0.4) -> None:
    """All parameters, on both tasks; `turn` sets runs apart, so that each draws other questions."""
    images = work.images(3 + turn)
    rng = random.Random(work.seed + 30 + 7 * turn + work.team.rank)

    def loss_of() -> Losses:
        batches = [images.batch(work.batch // 2) for _ in range(2)]
        parts = [see(work.model, batch.patches, batch.grid) for batch in batches]
        seen = torch.zeros(())
        for batch, features in zip(batches, parts, strict=True):
            loss, figures = seen_loss(work.head, features, batch, by_object=True)
            seen = seen + loss / 2
        spoken = told_loss(work.model, _flat(parts), conversations(batches, work.coder, rng))
        figures = {"spoken": spoken.item(), **figures}
        return spoken + seen_weight * seen, figures

    visual = [*work.model.model.visual.parameters(), *work.head.parameters()]
    run_steps(work.team, "joint", steps, [(visual, rate * 0.7), (_language(work.model), rate)], loss_of)

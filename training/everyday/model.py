"""The model of everyday things: how a reported list looks to a Qwen2, and the Qwen2-VL that speaks."""

from __future__ import annotations

import torch
from tokenizers import Tokenizer
from torch import nn
from torch.nn import functional
from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

from training.chat.qwen_model import small_config
from training.everyday.batches import Told
from training.things.facts import NO_KIND, Facts, facts_of
from training.things.kinds import KINDS, SCENES, SUPERS
from training.things.links import SIZE, links_of
from training.things.view import EXTREMES, ROWS, SIDES

PATCH, MERGE = 20, 2
"""Pixels of a patch's side and patches of an image token's side."""
MIN_PIXELS, MAX_PIXELS = 64 * (PATCH * MERGE) ** 2, 112 * (PATCH * MERGE) ** 2
CONTEXT, HEADS = 4096, 6
GROUPS = 10
GLOBALS = 2 + len(EXTREMES) + len(SUPERS)
TOKENS = 4 * GROUPS + GLOBALS
"""Image tokens that say something; the rest of a picture's are all alike."""
FORMS = ("first", "last", "plural")
"""Tokens of a kind's name: its first, its last where it has several, and the last of the plural."""
NAMED, LOOKS = 2.5, 1.8
"""How much a kind's name outweighs what else its tokens say: questions find things by it."""
_TABLES = {
    **{"count": ROWS + 1, "sure": 3, "colour": 14, "columns": 8, "place": 10, "near": 3, "part": 4},
    **{"rank": GROUPS, "scene": len(SCENES), "inside": 3, "link": SIZE},
}
_ROLES = (
    *("key", *SIDES, "on", "some_on"),
    *("before", "gist_before", "super_before"),
)


class ThingsEncoder(nn.Module):
    """`things` [batch, 24, 8] to features float32 [batch, TOKENS, width].

    What is countable is counted without weights; these only say how such facts look to the language model.
    Four tokens for each kind, and those that speak of the whole picture.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width, self.tokens = width, TOKENS
        self.own = nn.Embedding(NO_KIND + 1, width)
        self.forms = nn.ModuleDict({name: nn.Linear(width, width, bias=False) for name in FORMS})
        self.register_buffer("tokens_of", torch.full((NO_KIND, len(FORMS)), -1))
        self.tables = nn.ModuleDict({name: nn.Embedding(size, width) for name, size in _TABLES.items()})
        self.roles = nn.ModuleDict({name: nn.Linear(width, width, bias=False) for name in _ROLES})
        self.shown = nn.Linear(12, width, bias=False)
        self.types = nn.Embedding(5 + GLOBALS, width)
        self.rest = nn.Parameter(torch.zeros(width))
        """The feature of an image token that says nothing."""

    def table(self, words: torch.Tensor) -> torch.Tensor:
        """A feature for each kind [81, width]: its own, and what its words [vocabulary, width] are.

        So what the language model learns about saying one kind holds for all of them.
        """
        known = (self.tokens_of >= 0).to(words.dtype)[:, :, None]
        named = words[self.tokens_of.clamp(min=0)] * known
        told = sum(form(named[:, place]) for place, form in enumerate(self.forms.values()))
        none = torch.zeros_like(self.own.weight[:1])
        return self.own.weight + torch.cat([torch.as_tensor(told), none])

    def forward(self, things: torch.Tensor, table: torch.Tensor | None = None) -> torch.Tensor:
        """See above; without a `table` the kinds' own features are all there is."""
        kinds = self.own.weight if table is None else table
        facts = facts_of(things, GROUPS)
        return torch.cat([self._kinds(facts, kinds), self._globals(facts, kinds)], dim=1)

    def _type(self, number: int) -> torch.Tensor:
        return self.types.weight[number]

    def _kinds(self, facts: Facts, kinds: torch.Tensor) -> torch.Tensor:
        """What each kind is, what is beside it, after which one it is named, how it looks and where."""

        def role(name: str, chosen: torch.Tensor) -> torch.Tensor:
            told: torch.Tensor = self.roles[name](functional.embedding(chosen, kinds))
            return told

        named = functional.embedding(facts.group, kinds)
        what = NAMED * named + self._type(0)
        for name in ("count", "sure"):
            what = what + self.tables[name](getattr(facts, name))
        for name in ("super_before", "on", "some_on"):
            what = what + role(name, getattr(facts, name))
        look = LOOKS * named + self.shown(_colours(facts)) + self._type(4)
        for name in ("colour", "columns", "place", "near"):
            look = look + self.tables[name](getattr(facts, name))
        beside = role("key", facts.group) + self._type(1)
        for side, name in enumerate(SIDES):
            beside = beside + role(name, facts.sides[:, :, side])
        order = named + NAMED * role("gist_before", facts.gist_before) + role("before", facts.before)
        order = order + self.tables["rank"](facts.gist_rank) + self._type(3)
        for name in ("count", "sure", "part"):
            order = order + self.tables[name](getattr(facts, name))
        order = order + self.tables["link"](links_of(facts))
        tokens = torch.cat([what, beside, order, look], dim=1)
        filled = (facts.group < NO_KIND).to(tokens.dtype).repeat(1, 4)[:, :, None]
        return tokens * filled + self._type(2) * (1 - filled)

    def _globals(self, facts: Facts, kinds: torch.Tensor) -> torch.Tensor:
        count, sure = self.tables["count"], self.tables["sure"]
        total = (count(facts.total) + self._type(5))[:, None]
        scene = self.tables["scene"](facts.scene) + self.tables["inside"](facts.inside) + self._type(6)
        own = self.types.weight[7 : 7 + len(EXTREMES)]
        extremes = functional.embedding(facts.extremes, kinds) + sure(facts.extremes_sure) + own
        own = self.types.weight[7 + len(EXTREMES) :]
        supers = count(facts.supers) + sure(facts.supers_sure) + own
        return torch.cat([total, scene[:, None], extremes, supers], dim=1)


def name_tokens(tokenizer: Tokenizer) -> torch.Tensor:
    """The tokens of `FORMS` of each kind [80, 3], -1 for none."""

    def ids(text: str) -> list[int]:
        return list(tokenizer.encode(f" {text}").ids)

    rows = []
    for kind in KINDS:
        name = ids(kind.name)
        rows.append([name[0], name[-1] if len(name) > 1 else -1, ids(kind.plural)[-1]])
    return torch.tensor(rows)


def _colours(facts: Facts) -> torch.Tensor:
    """Which colours counted things of each group have: float32 [batch, groups, 12]."""
    mine = (facts.kind[:, None, :] == facts.group[:, :, None]) & (facts.counted[:, None, :] > 0)
    shown = (facts.shown[:, :, None] == torch.arange(12)).float()
    return (mine.float() @ shown > 0.5).float()


def config_of(vocabulary: int, ids: dict[str, int]) -> Qwen2VLConfig:
    """About two million parameters; `ids` maps special tokens to their numbers."""
    # transformers makes a vision part of its own; the eye stands in its place, and only its sizes are asked.
    vision = {
        "depth": 1,
        "embed_dim": 32,
        "num_heads": 1,
        "mlp_ratio": 1,
        "patch_size": PATCH,
        "spatial_merge_size": MERGE,
    }
    return small_config(
        vocabulary,
        ids,
        vision=vision,
        width=192,
        ffn=512,
        layers=4,
        heads=HEADS,
        key_heads=HEADS,
        positions=CONTEXT,
        theta=1e6,
    )


class Speaker(nn.Module):
    """The encoder of lists and the language model, trained together."""

    def __init__(self, model: Qwen2VLForConditionalGeneration) -> None:
        super().__init__()
        self.model = model
        self.encoder = ThingsEncoder(model.config.text_config.hidden_size)

    def embedded(self, told: Told) -> torch.Tensor:
        """What the language model is given, float [talks, tokens, width]: words, and features of lists."""
        words = self.model.get_input_embeddings()
        features = self.encoder(told.things, self.encoder.table(words.weight)).flatten(0, 1)
        features = torch.cat([features, self.encoder.rest[None]])
        embedded: torch.Tensor = words(told.ids)
        seen = features.to(embedded.dtype)[told.sources.clamp(min=0)]
        return torch.where((told.sources >= 0)[..., None], seen, embedded)

    def hidden(self, told: Told) -> torch.Tensor:
        """Last hidden states, float [talks, tokens, width]. Padding stands last, where nobody looks back."""
        out: torch.Tensor = self.model.model.language_model(
            inputs_embeds=self.embedded(told), position_ids=told.positions, use_cache=False
        ).last_hidden_state
        return out

    def bake(self) -> None:
        """Make the kinds' features a table of their own: the words' part is then in it."""
        with torch.no_grad():
            self.encoder.own.weight.copy_(self.encoder.table(self.model.get_input_embeddings().weight))
            self.encoder.tokens_of.fill_(-1)

    def loss(self, told: Told) -> torch.Tensor:
        """Summed cross-entropy of the answers' tokens."""
        wanted = told.learnt[:, 1:]
        logits = self.model.lm_head(self.hidden(told)[:, :-1][wanted]).float()
        return functional.cross_entropy(logits, told.ids[:, 1:][wanted], reduction="sum")

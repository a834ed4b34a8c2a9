"""From a task and a question to prompt token ids, and from answer tokens back to text.

A question is data: it is encoded by a second tokenizer that knows no added tokens, so `</s>` or `<loc_12>`
in it are ordinary characters, whatever they nest in. Only the fixed wording of a task, which no client
supplies, meets the tokenizer that knows them.

Source of the wording and of the order (image features, BOS, prompt, EOS): transformers 5.23,
`Florence2Processor`. `<VQA>` is no task of that processor; it reaches the model as text before the question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hailo_common.errors import InvalidParameter
from hailo_common.inference.model_dir import ModelDir
from hailo_common.inference.tokenizer import is_unicode, make_tokenizer
from hailo_florence.model.generation import GenerationConfig
from hailo_florence.protocol import LOCATIONS, TASKS

CAPTION = TASKS["caption"].prompt
VQA = "<VQA>"
_LOCATION = "<loc_{}>"
_FILE = "tokenizer.json"


@dataclass(frozen=True)
class Wordings:
    """Token ids of each task's own wording: a caption's whole prompt, and what stands before a question.

    `end` is what ends every prompt; a file may hold its rows behind those that stand before a question.
    """

    caption: Sequence[int]
    vqa: Sequence[int]
    end: Sequence[int]


class Prompts:
    """Both tokenizers of one model and what surrounds a prompt."""

    def __init__(self, folder: ModelDir, rules: GenerationConfig) -> None:
        """Read `tokenizer.json`; raises ModelMissing, or ModelError when it is not a tokenizer."""
        source = folder.json(_FILE)
        self._known = make_tokenizer(source, str(folder.path / _FILE))
        self._plain = make_tokenizer({**source, "added_tokens": []}, str(folder.path / _FILE))
        controls = {rules.start, *rules.eos, rules.bos, rules.pad} - {None}
        added = self._known.get_added_tokens_decoder()
        self.controls = frozenset({*added, *(i for i in controls if i is not None)})
        self.special = frozenset(self.controls - {i for i, token in added.items() if not token.special})
        self._before, self._after = _surroundings(self._known, rules)
        self._vqa = self._known.encode(VQA, add_special_tokens=False).ids
        self._locations = _location_ids(self._known)

    @property
    def vocabulary(self) -> int:
        """One more than the highest id the tokenizer knows."""
        return 1 + max(self._known.get_vocab(with_added_tokens=True).values(), default=-1)

    @property
    def has_locations(self) -> bool:
        """True when the tokenizer has a token for every place."""
        return bool(self._locations)

    def encode(
        self, task: str, question: str | None = None, region: Sequence[int] | None = None
    ) -> list[int]:
        """Token ids of a whole prompt, BOS and EOS included.

        `question` is the text that the task takes, `region` four steps of `LOCATIONS`. Raises
        InvalidParameter for an unknown task, or one that lacks what it takes.
        """
        if task not in TASKS:
            raise InvalidParameter(f"The task must be one of {', '.join(TASKS)}.", param="task")
        spec = TASKS[task]
        if spec.takes == "region":
            return self._around(self._with_region(spec.prompt, region))
        if not spec.takes:
            return self._around(self._data(spec.prompt))
        if not isinstance(question, str) or not question.strip() or not is_unicode(question):
            param = "question" if task == "vqa" else "text"
            raise InvalidParameter(f"A {param} of Unicode text is needed.", param=param)
        if task != "vqa":
            return self._around(self._data(spec.prompt.format(input=question.strip())))
        if self.controls.isdisjoint(self._vqa):
            return self._around(self._data(VQA + question))
        return self._around([*self._vqa, *self._data(question)])

    @property
    def wordings(self) -> Wordings:
        """The token ids that no client supplies."""
        return Wordings(self.encode("caption"), [*self._before, *self._vqa], self._after)

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of answer tokens, without special ones and without space around it."""
        text: str = self._known.decode([t for t in tokens if t not in self.special], skip_special_tokens=True)
        for control in ("<s>", "</s>", "<pad>"):
            text = text.replace(control, "")
        return text.strip()

    def decode_raw(self, tokens: Sequence[int]) -> str:
        """The text of answer tokens with all special ones, in which places are found."""
        text: str = self._known.decode(list(tokens), skip_special_tokens=False)
        return text

    def _with_region(self, prompt: str, region: Sequence[int] | None) -> list[int]:
        if region is None or len(region) != 4 or not all(0 <= step < LOCATIONS for step in region):
            raise InvalidParameter("A box of four places in the image is needed.", param="box")
        if not self._locations:
            raise InvalidParameter("The loaded model has no location tokens.", param="box")
        before, after = (self._data(part) if part else [] for part in prompt.split("{input}"))
        return [*before, *(self._locations[step] for step in region), *after]

    def _around(self, ids: list[int]) -> list[int]:
        return [*self._before, *ids, *self._after]

    def _data(self, text: str) -> list[int]:
        """Ids of text that may come from a client; never one of `controls`.

        The tokenizer without added tokens does the work; the filter makes it certain, since a vocabulary may
        list control tokens too, and a model of words may match them or answer with its unknown token.
        """
        ids = self._plain.encode(text, add_special_tokens=False).ids
        return [i for i in ids if i not in self.controls]


class Pieces:
    """An answer's text in pieces, as its tokens come; together they are what `decode` makes of all."""

    def __init__(self, prompts: Prompts) -> None:
        self._prompts = prompts
        self._given = ""

    def of(self, tokens: Sequence[int]) -> str:
        """What these tokens, all there are so far, add to the text; "" while a character is not whole."""
        text = self._prompts.decode(tokens)
        if text.endswith(_HALF) or not text.startswith(self._given):
            return ""
        piece, self._given = text[len(self._given) :], text
        return piece

    def rest(self, text: str) -> str:
        """What of the whole text has not been given."""
        return text[len(self._given) :] if text.startswith(self._given) else ""


_HALF = "\ufffd"
"""What the tokenizers library writes for bytes that are no character yet."""


def _location_ids(tokenizer: Any) -> list[int]:
    """Ids of all location tokens; none where one is missing."""
    ids = [tokenizer.token_to_id(_LOCATION.format(step)) for step in range(LOCATIONS)]
    return [] if None in ids else ids


def _surroundings(tokenizer: Any, rules: GenerationConfig) -> tuple[list[int], list[int]]:
    """What the tokenizer's post-processor puts before and after a text; BOS and EOS where it puts nothing."""
    encoded = tokenizer.encode("a")
    body = [place for place, special in enumerate(encoded.special_tokens_mask) if not special]
    before = encoded.ids[: body[0]] if body else []
    after = encoded.ids[body[-1] + 1 :] if body else []
    if before or after:
        return before, after
    return ([] if rules.bos is None else [rules.bos]), [rules.eos[0]]

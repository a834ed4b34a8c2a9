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

CAPTION = "What does the image describe?"
VQA = "<VQA>"
TASKS = ("caption", "vqa")
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

    @property
    def vocabulary(self) -> int:
        """One more than the highest id the tokenizer knows."""
        return 1 + max(self._known.get_vocab(with_added_tokens=True).values(), default=-1)

    def encode(self, task: str, question: str | None = None) -> list[int]:
        """Token ids of a whole prompt, BOS and EOS included.

        Raises InvalidParameter for an unknown task or a question that is missing or not a string.
        """
        if task == "caption":
            return self._around(self._data(CAPTION))
        if task != "vqa":
            raise InvalidParameter(f"The task must be one of {', '.join(TASKS)}.", param="task")
        if not isinstance(question, str) or not question.strip() or not is_unicode(question):
            raise InvalidParameter("A question of Unicode text is needed.", param="question")
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

    def _around(self, ids: list[int]) -> list[int]:
        return [*self._before, *ids, *self._after]

    def _data(self, text: str) -> list[int]:
        """Ids of text that may come from a client; never one of `controls`.

        The tokenizer without added tokens does the work; the filter makes it certain, since a vocabulary may
        list control tokens too, and a model of words may match them or answer with its unknown token.
        """
        ids = self._plain.encode(text, add_special_tokens=False).ids
        return [i for i in ids if i not in self.controls]


def _surroundings(tokenizer: Any, rules: GenerationConfig) -> tuple[list[int], list[int]]:
    """What the tokenizer's post-processor puts before and after a text; BOS and EOS where it puts nothing."""
    encoded = tokenizer.encode("a")
    body = [place for place, special in enumerate(encoded.special_tokens_mask) if not special]
    before = encoded.ids[: body[0]] if body else []
    after = encoded.ids[body[-1] + 1 :] if body else []
    if before or after:
        return before, after
    return ([] if rules.bos is None else [rules.bos]), [rules.eos[0]]

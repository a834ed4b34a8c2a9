"""The everyday model's language part against transformers, token for token, on invented lists."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import hailo_florence
from tests.oracle import PICTURES

if TYPE_CHECKING:
    from training.voice.samples import Sample

pytestmark = pytest.mark.oracle
FOLDER = Path(hailo_florence.__file__).parent / "everyday_model"


@pytest.mark.parametrize("beams", [1, 3])
def test_answers_are_those_of_transformers(beams: int) -> None:
    torch = pytest.importorskip("torch")
    from training.voice.measure import Speaker  # noqa: PLC0415

    speaker, reference = Speaker(FOLDER), Reference(torch)
    asked = list(sampled(PICTURES // beams))
    for case in asked:
        said = speaker.ask(case, 300, beams)
        features = torch.from_numpy(speaker.features(case.things))
        assert said.raw == reference.answer(features, case.prompt, beams), case
    speaker.close()


def sampled(count: int) -> Iterator[Sample]:
    """So many lists for each task, and two for each kind of question."""
    from training.voice.measure import NAMES, cases  # noqa: PLC0415

    seen: Counter[str] = Counter()
    for case in cases("foreign", max(count, 2), 31, held=True):
        seen[case.kind] += 1
        if seen[case.kind] <= (count if case.kind in NAMES else 2):
            yield case


class Reference:
    """transformers' own encoder, decoder and generate, behind the features of a list."""

    def __init__(self, torch: Any) -> None:
        from tokenizers import Tokenizer  # noqa: PLC0415
        from transformers import GenerationConfig  # noqa: PLC0415

        from training.scenes.checkpoint import load_model  # noqa: PLC0415

        self._torch = torch
        self._model = load_model(FOLDER, vision=False)
        self._model.generation_config = GenerationConfig.from_pretrained(FOLDER)
        self._tokenizer = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))

    def answer(self, features: Any, prompt: str, beams: int) -> str:
        """The answer with all its special tokens."""
        from transformers.modeling_outputs import BaseModelOutput  # noqa: PLC0415

        torch = self._torch
        ids = torch.tensor([self._tokenizer.encode(prompt).ids])
        with torch.no_grad():
            inputs = torch.cat([features, self._model.get_input_embeddings()(ids)], dim=1)
            mask = torch.ones(inputs.shape[:2], dtype=torch.long)
            encoder = self._model.model.language_model.encoder
            states = encoder(inputs_embeds=inputs, attention_mask=mask).last_hidden_state
            tokens = self._model.generate(
                input_ids=None,
                encoder_outputs=BaseModelOutput(last_hidden_state=states),
                attention_mask=mask,
                num_beams=beams,
                do_sample=False,
                early_stopping=beams > 1,
                # Begin and end count here, and not in the length of an answer.
                max_new_tokens=302,
            )
        return self._tokenizer.decode(tokens[0, 1:].tolist(), skip_special_tokens=False)

"""A Florence-2 folder for the NPU: HEFs of the text encoder and the decoder, and embeddings as `.npy`.

The graphs in the HEFs are the model's own; their inputs and outputs become streams with a quantisation.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, takewhile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hailo_common.inference.model_dir import ModelDir, integer_in, section
from hailo_common.inference.onnx import Graph
from hailo_florence.model.generation import read_generation_config
from hailo_florence.model.prompt import Prompts
from tests.hailo_sim.hef_file import ZOO, stream, write_hef
from tests.hailo_sim.seen import Limits, look

ENCODER, DECODER = "florence2_transformer_encoder", "florence2_transformer_decoder"
WINDOW = 32
"""Positions that the decoder computes at once, as published."""


@dataclass(frozen=True)
class FlorenceHefs:
    """What to make of a model folder.

    `room` tokens of prompt fit behind the image's; the published encoder has 8, just those of a caption. With
    `masked`, rows of zeros in the encoder's input and in the decoder's hidden states count as empty; the
    published graphs have no such thing. `logits` is the type of the decoder's output, UINT8 or UINT16; there
    are `cuts` of them, each of a part of the vocabulary.
    """

    source: ModelDir
    room: int = 24
    masked: bool = True
    logits: str = "UINT16"
    architecture: str = "hailo10h"
    cuts: int = 1

    def write(self, dest: Path) -> None:
        """Fill a folder that does not exist yet."""
        (dest / "onnx").mkdir(parents=True)
        for path in self.source.path.glob("*.json"):
            shutil.copy(path, dest)
        shutil.copy(self.source.onnx("vision_encoder"), dest / "onnx")
        self._write_embeddings(dest)
        seen = look(self.source, self.words, self.caption)
        rows = (1, seen.image_tokens + self.room, self.words.shape[1])
        for name, graph, about in (
            (ENCODER, "encoder_model", self._encoder(rows, seen.inputs, seen.hidden)),
            (DECODER, "decoder_model_merged", self._decoder(rows, seen.inputs, seen.hidden, seen.logits)),
        ):
            whole = {
                "kind": "infer",
                "architecture": self.architecture,
                "zoo": ZOO,
                "graph": "graph",
                **about,
            }
            write_hef(dest / f"{name}.hef", whole, {"graph": self.source.onnx(graph).read_bytes()})

    def _write_embeddings(self, dest: Path) -> None:
        """The table of all tokens, a caption's whole prompt, and what stands before a question."""
        one, two = (self._prompts.encode("vqa", question) for question in ("a", "b"))
        before = [a for a, b in takewhile(lambda pair: pair[0] == pair[1], zip(one, two, strict=True))]
        np.save(dest / "word_embedding.npy", self.words)
        np.save(dest / "caption_embedding.npy", self.words[None, self.caption])
        np.save(dest / "vqa_embedding.npy", self.words[None, before])

    @cached_property
    def _prompts(self) -> Prompts:
        return Prompts(self.source, read_generation_config(self.source))

    @cached_property
    def caption(self) -> list[int]:
        """Token ids of a caption's prompt."""
        return self._prompts.encode("caption")

    @cached_property
    def words(self) -> NDArray[np.float32]:
        """The embedding of every token, (vocabulary, d)."""
        text = section(self.source.json("config.json"), "text_config", "config.json")
        ids = np.arange(integer_in(text, "vocab_size", "config.json"))[None]
        embed = Graph(self.source.onnx("embed_tokens"), 1)
        made: NDArray[np.float32] = embed.run(["inputs_embeds"], {"input_ids": ids})[0][0].astype(np.float32)
        return made

    def _encoder(self, rows: tuple[int, int, int], inputs: Limits, hidden: Limits) -> dict[str, Any]:
        source, made = f"{ENCODER}/input_layer1", f"{ENCODER}/output_layer1"
        return {
            "streams": [stream(source, "input", rows, inputs), stream(made, "output", rows, hidden)],
            "feeds": {"inputs_embeds": {"stream": source}, "attention_mask": self._mask(source, rows[1])},
            "outputs": {made: "last_hidden_state"},
        }

    def _decoder(
        self, rows: tuple[int, int, int], inputs: Limits, hidden: Limits, logits: Limits
    ) -> dict[str, Any]:
        states, embeds = f"{DECODER}/input_layer1", f"{DECODER}/input_layer2"
        edges = [round(len(self.words) * cut / self.cuts) for cut in range(self.cuts + 1)]
        parts = {f"{DECODER}/conv{8 + number}": list(edge) for number, edge in enumerate(pairwise(edges))}
        return {
            "streams": [
                stream(states, "input", rows, hidden),
                stream(embeds, "input", (1, WINDOW, rows[2]), inputs),
                *(
                    stream(name, "output", (WINDOW, end - first, 1), logits, order="NHW", kind=self.logits)
                    for name, (first, end) in sorted(parts.items())
                ),
            ],
            "feeds": {
                "encoder_hidden_states": {"stream": states},
                "encoder_attention_mask": self._mask(states, rows[1]),
                "inputs_embeds": {"stream": embeds},
                **dict(empty_past(self.source)),
            },
            "outputs": {name: ["logits", *edge] for name, edge in parts.items()},
        }

    def _mask(self, name: str, length: int) -> dict[str, Any]:
        return {"rows_of": name} if self.masked else {"constant": 1, "shape": [1, length], "type": "int64"}


def empty_past(source: ModelDir) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What a decoder with a cache is fed when it shall not use one: input name and constant."""
    text = section(source.json("config.json"), "text_config", "config.json")
    heads = integer_in(text, "decoder_attention_heads", "config.json")
    size = integer_in(text, "d_model", "config.json") // heads
    for name in Graph(source.onnx("decoder_model_merged"), 1).inputs:
        if name.startswith("past_key_values."):
            yield name, {"constant": 0, "shape": [1, heads, 0, size], "type": "float32"}
        elif name == "use_cache_branch":
            yield name, {"constant": False, "shape": [1], "type": "bool"}

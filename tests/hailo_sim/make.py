"""Complete model folders for the NPU, made from the committed demo models: stand-in HEFs and what lies beside.

The graphs in the HEFs are the demo models' own; their inputs and outputs become streams with a quantisation.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hailo_common.backends.onnx import Graph
from hailo_common.folder import ModelFolder, section, whole_number
from hailo_florence.backends.onnx_encoders import OnnxVisionEncoder
from hailo_florence.preprocess import read_picture_settings
from hailo_florence.prompt import VQA, Prompts
from hailo_florence.rules import read_rules
from tests.hailo_sim.hef_file import stream, write_hef

ROOT = Path(__file__).parent.parent.parent
FLORENCE = ROOT / "hailo_florence" / "demo_model"
VISION = ROOT / "hailo_vision" / "demo_model"
ENCODER, DECODER = "florence2_transformer_encoder", "florence2_transformer_decoder"
WINDOW = 32
"""Positions that the decoder computes at once, as published."""
_MARGIN = 1.5  # the quantisation covers this much more than was seen
_ZOO = "5.2.0"


def make_florence_folder(
    dest: Path,
    source: Path = FLORENCE,
    *,
    room: int = 24,
    logits: str = "UINT16",
    architecture: str = "hailo10h",
) -> Path:
    """HEFs of the text encoder and the decoder, embeddings as `.npy`, configs and the vision encoder.

    `room` tokens of prompt fit behind the image's; the published encoder has 8, just those of a caption. Rows
    of zeros at the end count as empty, in the encoder's input as in the decoder's. `logits` is the type of the
    decoder's output, UINT8 or UINT16.
    """
    folder = ModelFolder(source)
    (dest / "onnx").mkdir(parents=True)
    for path in source.glob("*.json"):
        shutil.copy(path, dest)
    shutil.copy(folder.onnx("vision_encoder"), dest / "onnx")
    graphs = {name: Graph(folder.onnx(name), 1) for name in ("embed_tokens", "encoder_model")}
    words = _word_embedding(folder, graphs["embed_tokens"])
    prompts = Prompts(folder, read_rules(folder))
    np.save(dest / "word_embedding.npy", words)
    np.save(dest / "caption_embedding.npy", words[None, prompts.encode("caption")])
    task = prompts.encode("vqa", "a")[: 1 + _length_of_vqa(prompts)]
    np.save(dest / "vqa_embedding.npy", words[None, task])
    _write_florence_hefs(dest, folder, words, prompts.encode("caption"), room, logits, architecture)
    return dest


def _length_of_vqa(prompts: Prompts) -> int:
    """Tokens of `<VQA>` in a prompt: all but those around it and the question's own."""
    around = len(prompts.encode("caption")) - len(prompts._data("What does the image describe?"))
    return len(prompts.encode("vqa", "a")) - around - len(prompts._data("a")) if VQA else 0


def _word_embedding(folder: ModelFolder, embed: Graph) -> NDArray[np.float32]:
    """The embedding of every token, (vocabulary, d)."""
    text = section(folder.json("config.json"), "text_config", "config.json")
    ids = np.arange(whole_number(text, "vocab_size", "config.json"))[None]
    return embed.run(["inputs_embeds"], {"input_ids": ids})[0][0].astype(np.float32)


def _write_florence_hefs(
    dest: Path,
    folder: ModelFolder,
    words: NDArray[np.float32],
    caption: list[int],
    room: int,
    logits: str,
    architecture: str,
) -> None:
    seen = _Seen(folder, words, caption)
    length, width = seen.image_tokens + room, words.shape[1]
    about = {"kind": "infer", "architecture": architecture, "zoo": _ZOO, "graph": "graph"}
    rows, hidden = (1, length, width), f"{DECODER}/input_layer1"
    source = f"{ENCODER}/input_layer1"
    encoder = {
        **about,
        "streams": [
            stream(source, "input", rows, seen.inputs),
            stream(f"{ENCODER}/output_layer1", "output", rows, seen.hidden),
        ],
        "feeds": {"inputs_embeds": {"stream": source}, "attention_mask": {"rows_of": source}},
        "outputs": {f"{ENCODER}/output_layer1": "last_hidden_state"},
    }
    decoder = {
        **about,
        "streams": [
            stream(hidden, "input", rows, seen.hidden),
            stream(f"{DECODER}/input_layer2", "input", (1, WINDOW, width), seen.inputs),
            stream(
                *(f"{DECODER}/output_layer1", "output", (WINDOW, len(words), 1), seen.logits),
                order="NHW",
                kind=logits,
            ),
        ],
        "feeds": {
            "encoder_hidden_states": {"stream": hidden},
            "encoder_attention_mask": {"rows_of": hidden},
            "inputs_embeds": {"stream": f"{DECODER}/input_layer2"},
            **dict(_empty_past(seen.decoder, folder)),
        },
        "outputs": {f"{DECODER}/output_layer1": "logits"},
    }
    for name, made, graph in (
        (ENCODER, encoder, "encoder_model"),
        (DECODER, decoder, "decoder_model_merged"),
    ):
        write_hef(dest / f"{name}.hef", made, {"graph": folder.onnx(graph).read_bytes()})


def _empty_past(decoder: Graph, folder: ModelFolder) -> Iterator[tuple[str, dict[str, Any]]]:
    text = section(folder.json("config.json"), "text_config", "config.json")
    heads = whole_number(text, "decoder_attention_heads", "config.json")
    size = whole_number(text, "d_model", "config.json") // heads
    for name in decoder.inputs:
        if name.startswith("past_key_values."):
            yield name, {"constant": 0, "shape": [1, heads, 0, size], "type": "float32"}
    if "use_cache_branch" in decoder.inputs:
        yield "use_cache_branch", {"constant": False, "shape": [1], "type": "bool"}


class _Seen:
    """What a few pictures make the stages put out: the limits that a quantisation must cover."""

    def __init__(self, folder: ModelFolder, words: NDArray[np.float32], caption: list[int]) -> None:
        settings = read_picture_settings(folder)
        vision = OnnxVisionEncoder(Graph(folder.onnx("vision_encoder"), 1), settings)
        encoder = Graph(folder.onnx("encoder_model"), 1)
        self.decoder = Graph(folder.onnx("decoder_model_merged"), 1)
        past = {
            name: np.full(what["shape"], what["constant"], what["type"])
            for name, what in _empty_past(self.decoder, folder)
        }
        inputs, hiddens, logits = [words], [], []
        for picture in _pictures(settings.target.height, settings.target.width):
            features = vision.encode(picture)
            sequence = np.concatenate([features, words[None, caption]], axis=1)
            mask = np.ones(sequence.shape[:2], np.int64)
            hidden = encoder.run(["last_hidden_state"], {"inputs_embeds": sequence, "attention_mask": mask})[
                0
            ]
            feeds = {"encoder_hidden_states": hidden, "encoder_attention_mask": mask, **past}
            feeds["inputs_embeds"] = words[None, caption]
            logits.append(self.decoder.run(["logits"], feeds)[0])
            inputs.append(features)
            hiddens.append(hidden)
        self.image_tokens = features.shape[1]
        self.inputs, self.hidden, self.logits = map(_limits, (inputs, hiddens, logits))


def _limits(seen: list[NDArray[Any]]) -> tuple[float, float]:
    low, high = min(float(each.min()) for each in seen), max(float(each.max()) for each in seen)
    return low * _MARGIN, high * _MARGIN


def _pictures(height: int, width: int) -> Iterator[NDArray[np.uint8]]:
    """Noise, a flat colour, and a disc on a ground, (height, width, 3) each."""
    random = np.random.default_rng(1)
    yield random.integers(0, 256, (height, width, 3), dtype=np.uint8)
    yield np.full((height, width, 3), 200, np.uint8)
    y, x = np.mgrid[:height, :width]
    disc = (y - height / 2) ** 2 + (x - width / 2) ** 2 < (min(height, width) / 4) ** 2
    yield np.where(disc[..., None], np.array([220, 20, 30], np.uint8), np.uint8(230)).astype(np.uint8)


def make_vision_folder(
    dest: Path,
    source: Path = VISION,
    *,
    frame: tuple[int, int, int] = (128, 128, 3),
    context: int = 2048,
    architecture: str = "hailo10h",
) -> Path:
    """A HEF of the whole model, and the JSON files of the Hugging Face layout."""
    dest.mkdir(parents=True)
    folder = ModelFolder(source)
    for path in source.glob("*.json"):
        shutil.copy(path, dest)
    config, pixels = folder.json("config.json"), folder.json("preprocessor_config.json")
    ends = folder.json("generation_config.json")["eos_token_id"]
    added = {item["id"]: item["content"] for item in folder.json("tokenizer.json")["added_tokens"]}
    heads = config["num_attention_heads"]
    about = {
        "kind": "vlm",
        "architecture": architecture,
        "zoo": _ZOO,
        "frame": frame,
        "context": context,
        "image_token": config["image_token_id"],
        "vocabulary": config["vocab_size"],
        "head": [config["num_key_value_heads"], config["hidden_size"] // heads],
        "patch": pixels["patch_size"],
        "temporal": pixels["temporal_patch_size"],
        "merge": pixels["merge_size"],
        "rescale": pixels["rescale_factor"],
        "mean": pixels["image_mean"],
        "std": pixels["image_std"],
        "template": folder.json("chat_template.json")["chat_template"],
        "stops": [added[end] for end in (ends if isinstance(ends, list) else [ends])],
    }
    graphs = {
        "vision_encoder": "vision_encoder",
        "embed_tokens": "embed_tokens",
        "decoder": "decoder_model_merged",
    }
    files = {name: folder.onnx(graph).read_bytes() for name, graph in graphs.items()}
    files["tokenizer"] = (source / "tokenizer.json").read_bytes()
    write_hef(dest / "Qwen2-VL-2B-Instruct.hef", about, files)
    return dest

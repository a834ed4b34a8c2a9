"""Builds the stages of one model folder, each on the backend chosen for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from hailo_common.errors import ModelError, ModelMissing
from hailo_common.inference.backend import BackendChoice, choose_stages, probe, stages_info
from hailo_common.inference.model_dir import ModelDir, integer_in, section
from hailo_florence.model.preprocess import ImageSettings
from hailo_florence.model.prompt import Wordings
from hailo_florence.model.stages import Decoder, Embedding, Stages, TextEncoder
from hailo_florence.npu.decoder import HailoDecoder
from hailo_florence.npu.encoder import WORDS, HailoTextEncoder, PromptEmbedding, WordEmbedding
from hailo_florence.npu.networks import OnChip, find_hefs, load_networks

if TYPE_CHECKING:
    from hailo_florence.onnx.int8_file import VisionFile
    from hailo_florence.onnx.stages import OnnxStages

STAGES = ("vision_encoder", "text_encoder", "decoder")
T = TypeVar("T")


@dataclass(frozen=True)
class ModelConfig:
    """What the config says of the language part; sizes in numbers, positions in tokens."""

    positions: int
    heads: int
    width: int

    @property
    def head(self) -> tuple[int, int]:
        """(heads, size of a head) of the decoder."""
        return self.heads, self.width // self.heads


@dataclass(frozen=True)
class BackendOptions:
    """What was asked for: a backend, CPU threads (0 chooses), and how to open the chip (the option `npu`).

    `vision` is the file of the vision encoder on the CPU, if not the folder's own.
    """

    backend: str
    threads: int
    npu: Mapping[str, Any]
    vision: VisionFile | None = None


def read_model_config(folder: ModelDir) -> ModelConfig:
    """Read `config.json`; raises ModelError naming it when it is not one of a Florence-2."""
    text = section(folder.json("config.json"), "text_config", "config.json")
    positions, heads, width = (
        integer_in(text, key, "config.json")
        for key in ("max_position_embeddings", "decoder_attention_heads", "d_model")
    )
    if not positions or not heads or width % heads:
        raise ModelError("config.json: expected positions, heads and a d_model that the heads divide")
    return ModelConfig(positions, heads, width)


def build_stages(
    folder: ModelDir,
    settings: ImageSettings,
    shape: ModelConfig,
    backend_options: BackendOptions,
    wordings: Wordings,
) -> Stages:
    """Load all stages, each on the chip where a HEF of it fits, else on the CPU.

    Raises ModelMissing, ModelError or DeviceLost; the chip is free again then.
    """
    hefs = find_hefs(folder.path)
    choices = choose_stages(STAGES, backend_options.backend, probe(), hefs)
    from hailo_florence.onnx.stages import OnnxStages  # noqa: PLC0415 - native, so late

    with ExitStack() as made:
        cpu = OnnxStages(folder, backend_options.threads, backend_options.vision)
        npu = load_networks(made, hefs, choices, backend_options.backend, backend_options.npu)
        embed = made.enter_context(closing(_embedding(folder, npu, cpu)))
        stages = Stages(
            vision=cpu.vision(settings),
            text=_text(folder, npu, cpu, embed, wordings),
            decoder=_decoder(npu, cpu, embed, shape),
            info=stages_info(_with_notes(npu.choices, cpu.notes)),
            chip=npu.chip,
            prove=npu.prove,
            others=(embed, npu.chip) if npu.chip else (embed,),
        )
        made.pop_all()
        return stages


def _with_notes(choices: Mapping[str, BackendChoice], notes: Mapping[str, str]) -> dict[str, BackendChoice]:
    return {
        name: replace(choice, reason=f"{choice.reason}; {notes[name]}") if notes.get(name) else choice
        for name, choice in choices.items()
    }


def _embedding(folder: ModelDir, npu: OnChip, cpu: OnnxStages) -> Embedding:
    """The table that comes with HEFs, for all stages, or the graph where there is none."""
    table = folder.path / WORDS
    if not npu.networks or (folder.find_onnx("embed_tokens") and not table.is_file()):
        return cpu.embedding()
    if not table.is_file():
        raise ModelMissing(f"{table}: file is missing")
    return WordEmbedding(table)


def _text(
    folder: ModelDir, npu: OnChip, cpu: OnnxStages, embed: Embedding, wordings: Wordings
) -> TextEncoder:
    network = npu.networks.get("text_encoder")
    if network is None:
        return _instead(npu, "text_encoder", lambda: cpu.text(embed))
    return HailoTextEncoder(network, PromptEmbedding(folder.path, embed, wordings))


def _decoder(npu: OnChip, cpu: OnnxStages, embed: Embedding, shape: ModelConfig) -> Decoder:
    network = npu.networks.get("decoder")
    if network is None:
        return _instead(npu, "decoder", lambda: cpu.decoder(embed, shape.head))
    return HailoDecoder(network, embed)


def _instead(npu: OnChip, stage: str, make: Callable[[], T]) -> T:
    """The stage on the CPU; says why the chip does not run it where the CPU cannot do so either."""
    choice = npu.choices[stage]
    try:
        return make()
    except ModelMissing as error:
        if not choice.fell_back:
            raise
        raise ModelError(f"{choice.reason}; the CPU cannot run it instead: {error}") from error

"""The keys of hailo-vision."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from hailo_common.config.common_keys import PORT, CommonSettings
from hailo_common.config.schema import choice, config_key, integer, is_name, keys_of, number, strings
from hailo_common.config.served import ServedKey, conflicts, is_keep_alive, is_served, served_keys

SERVICE = "hailo-vision"
ENGINE = "hailo_vision.engine_factory:make_engine"
"""What makes the engine, in its own process."""


@dataclass(frozen=True, kw_only=True)
class VisionSettings(CommonSettings):
    """Settings of hailo-vision."""

    port: int = config_key(11435, PORT, "TCP port to listen on")
    request_timeout_s: float = config_key(
        180.0, number(1, 3600), "Longest time the model may work on one request", "s"
    )
    # 3840 x 2160: a 4K frame.
    max_image_pixels: int = config_key(
        8_294_400, integer(1024, 100_000_000), "Most pixels of an image, as it is decoded"
    )
    max_images: int = config_key(16, integer(1, 64), "Most images of one request", engine=True)
    max_new_tokens: int = config_key(
        512, integer(1, 32768), "Longest answer, and its length where a request names none", "tokens"
    )
    default_temperature: float = config_key(
        0.0, number(0, 2), "temperature of a request that names none; 0 always takes the likeliest token"
    )
    model_aliases: tuple[str, ...] = config_key(
        ("qwen2-vl-2b-instruct",),
        strings("names of up to 128 characters without spaces", is_name),
        "Names, besides the model's own, under which requests may ask for it",
    )
    models: tuple[str, ...] = config_key(
        (),
        strings(
            "entries: auto, demo, shapes, a model's name, a folder's path, or NAME=one of these", is_served
        ),
        "Models to serve by name, the first one also without a name; then `model` is not looked at. They are"
        " loaded on demand, within models_memory_mb, and the longest unused makes room",
    )
    model_keep_alive: tuple[str, ...] = config_key(
        (),
        strings("entries NAME=DURATION, such as demo=10m", is_keep_alive),
        "How long a model of `models` stays loaded after its last request, as Ollama's keep_alive: 90"
        " (seconds), 10m, 1h30m; 0 unloads it at once, -1 keeps it; the others have keep_alive_s",
    )
    models_memory_mb: int = config_key(
        0,
        integer(0, 1_048_576),
        "Memory that the engines of `models` may take together; 0 is memory_max_mb, or what the control group"
        " or the machine has, less 128 MiB for the HTTP process and the decoder",
        "MiB",
    )
    max_model_len: int = config_key(
        0,
        integer(0, 1_048_576),
        "Tokens that a conversation and its answer may take together; 0 is as many as the model can",
        "tokens",
        engine=True,
    )
    max_num_seqs: int = config_key(
        0,
        integer(0, 64),
        "Conversations that a GGUF model answers at once; 0 is up to 4, as memory and the model's size allow",
        engine=True,
    )
    context_policy: str = config_key(
        "refuse",
        choice("refuse", "drop_oldest"),
        "What becomes of a conversation that is too long: an error, or its oldest turns are left out",
    )
    max_image_tokens: int = config_key(
        0,
        integer(0, 16384),
        "Most tokens that an image may take on the CPU, in memory and time; larger ones are scaled down."
        " 0 chooses by memory: 768 on a machine with 8 GB, half of it for SmolVLM, whose tokens cost more",
        "tokens",
        engine=True,
    )
    frame_fit: str = config_key(
        "letterbox",
        choice("letterbox", "crop"),
        "How an image becomes the frame of the Hailo chip: with black bars, or its edges cut off",
        engine=True,
    )
    extra_images: str = config_key(
        "refuse",
        choice("refuse", "grid"),
        "What becomes of a second image where the model on the Hailo chip takes one (Qwen3-VL): an error, or"
        " all of them are put into one frame, smaller",
        engine=True,
    )
    conversation_cache_mb: int = config_key(
        256,
        integer(0, 65536),
        "Memory for conversations that may go on, at most a sixteenth of the budget; 0 keeps none",
        "MiB",
        engine=True,
    )
    picture_cache_mb: int = config_key(
        64,
        integer(0, 65536),
        "Memory for images that may be asked about again (a quarter more for their pixels), at most a 64th of"
        " the budget; 0 keeps none",
        "MiB",
        engine=True,
    )
    background_patience_s: float = config_key(
        20.0,
        number(0, 3600),
        "A request without an image that is older than this is no longer passed over by others",
        "s",
    )
    slow_inference_s: float = config_key(
        60.0, number(0.01, 3600), "An inference longer than this is a warning", "s"
    )
    memory_max_mb: int = config_key(
        4096,
        integer(0, 1_048_576),
        "Memory budget, warned about from 90 % on; what cannot fit is refused. 0 asks the control group",
        "MiB",
        engine=True,
    )

    def served(self) -> tuple[ServedKey, ...]:
        """See `CommonSettings.served`."""
        return served_keys(self.models, self.model_keep_alive, self.keep_alive_s or math.inf)

    def announced_model(self) -> str:
        """See `CommonSettings.announced_model`."""
        names = (*(key.name for key in self.served()), *self.model_aliases, self.model)
        return names[0]

    def conflicts(self) -> Iterator[tuple[tuple[str, ...], str]]:
        """See `BaseSettings.conflicts`."""
        yield from super().conflicts()
        yield from conflicts(self.models, self.model_keep_alive, self.model_dir)


KEYS = keys_of(VisionSettings)

"""What hailo-vision counts besides what every service counts; names after vLLM's."""

from __future__ import annotations

from prometheus_client import Counter

from hailo_common.engine.pool import EnginePool
from hailo_common.web.metrics import Memory, Metrics
from hailo_common.web.state import ServerState
from hailo_vision.protocol import VisionResult

# About 1 s to the first token and 8 tokens a second on the NPU; the demo model is much quicker.
_FIRST_TOKEN = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 20, 40)
_PER_TOKEN = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.125, 0.15, 0.2, 0.3, 0.5, 1)
_PARTS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240)
_TOKENS = (1, 4, 16, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768)


class VisionMetrics(Metrics):
    """One conversation's counts are noted by `note_chat`; the prefix `hailo_` is left to the device."""

    def __init__(
        self, pool: EnginePool, server_state: ServerState, memory: Memory, prefix: str = "hailo_vision"
    ) -> None:
        super().__init__(prefix, pool, server_state, memory)
        self._first = self._histogram(
            f"{prefix}_time_to_first_token_seconds", "From admission to the first text.", _FIRST_TOKEN
        )
        self._each = self._histogram(
            f"{prefix}_request_time_per_output_token_seconds", "Mean of one answer.", _PER_TOKEN
        )
        self._queue_time = self._histogram(
            f"{prefix}_request_queue_time_seconds", "From admission to the engine, decoding included.", _PARTS
        )
        self._prefill = self._histogram(f"{prefix}_request_prefill_time_seconds", "Prefill.", _PARTS)
        self._decode = self._histogram(f"{prefix}_request_decode_time_seconds", "Decoding.", _PARTS)
        self._encode = self._histogram(f"{prefix}_request_encoder_time_seconds", "Vision encoder.", _PARTS)
        self._prompt = self._histogram(f"{prefix}_request_prompt_tokens", "Prompt tokens.", _TOKENS)
        self._answer = self._histogram(f"{prefix}_request_generation_tokens", "Answer tokens.", _TOKENS)
        self._counters = {
            name: Counter(f"{prefix}_{name}", text, registry=self.registry)
            for name, text in (
                ("prompt_tokens", "Tokens of prompts."),
                ("image_tokens", "Tokens of images, a part of those of prompts."),
                ("prefix_cache_queries", "Prompt tokens looked up among earlier conversations."),
                ("prefix_cache_hits", "Prompt tokens found there."),
                ("cached_pictures", "Images that were not encoded again."),
            )
        }

    def note_chat(self, result: VisionResult, *, waited: float, first: float) -> None:
        """Count one answer: its engine result, seconds before the engine began and to the first text."""
        tokens = result.completion_tokens
        self.note_result(result.seconds, tokens, result.finish_reason)
        self._queue_time.observe(waited)
        self._first.observe(first)
        if tokens > 1:
            self._each.observe(result.decode_seconds / (tokens - 1))
        self._prefill.observe(result.prefill_seconds)
        self._decode.observe(result.decode_seconds)
        self._encode.observe(result.vision_seconds)
        self._prompt.observe(result.prompt_tokens)
        self._answer.observe(tokens)
        counts = {
            "prompt_tokens": result.prompt_tokens,
            "image_tokens": result.image_tokens,
            "prefix_cache_queries": result.prompt_tokens,
            "prefix_cache_hits": result.cached_tokens,
            "cached_pictures": result.cached_images,
        }
        for name, count in counts.items():
            self._counters[name].inc(count)

"""What transformers answers to a conversation. Needs torch (through `reference_qwen`)."""

from __future__ import annotations

from typing import Any

from tests.hailo_vision.conversations import Conversation, conversations, folder_of, images_of
from tests.oracle.reference_qwen import Reference

GOLDEN_SEED = 3
COUNT = {"random-a": 88, "random-b": 88, "demo": 220}


def expected(reference: Reference, name: str, conversation: Conversation) -> dict[str, Any]:
    """Token ids of the answer, the end token included, its text, and how long the prompt is."""
    inputs = reference.inputs(conversation.messages, images_of(name, conversation))
    penalty = {} if conversation.penalty is None else {"repetition_penalty": conversation.penalty}
    tokens = reference.generate(inputs, conversation.max_tokens, **penalty)
    ends = reference.model.generation_config.eos_token_id
    ended = tokens[-1] in (ends if isinstance(ends, list) else [ends])
    text = reference.text(tokens[:-1] if ended else tokens)
    return {"tokens": tokens, "prompt_tokens": inputs["input_ids"].shape[1], "text": text}


def vision_answers(name: str) -> list[dict[str, Any]]:
    """A row for each of the conversations with one model, with what transformers answers."""
    reference = Reference(folder_of(name))
    return [
        {**asked.to_json(), **expected(reference, name, asked)}
        for asked in conversations(name, COUNT[name], GOLDEN_SEED)
    ]

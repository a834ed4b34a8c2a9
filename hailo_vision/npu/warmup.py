"""One token about a grey frame at load: proves that the HEF works, and measures what a frame takes.

HailoRT does not say how many tokens a frame becomes; the context before and after one tells.
"""

from __future__ import annotations

from hailo_common.errors import InvalidParameter, ModelError
from hailo_vision.npu.chip import NpuChat, explained_errors
from hailo_vision.npu.completion import CompletionReader, CompletionState, CompletionTimeouts, parameters
from hailo_vision.npu.frames import FrameShape
from hailo_vision.npu.prompt import NpuPrompts
from hailo_vision.protocol import ChatMessage, Sampling
from hailo_vision.text.stop_strings import StopStrings

_TALK = (ChatMessage("system", ("Be short.",)), ChatMessage("user", (0, "What is this?")))
_ONE = 1


def warm_up(chip: NpuChat, prompts: NpuPrompts, shape: FrameShape, timeout_s: float) -> int:
    """Tokens of one frame. The context is empty afterwards.

    Raises ModelError when template and model do not fit, DeviceLost when the chip fails.
    """
    try:
        prompt = prompts.make(_TALK, [shape.grey()])
    except InvalidParameter as error:
        raise ModelError(
            "chat template: expected to take a system message, and a user message with a picture"
        ) from error
    chip.clear()
    completion = chip.generate(prompt.text, prompt.images, parameters(Sampling(), _ONE))
    spoken = CompletionState()
    speech = CompletionReader(prompts.specials.ids, (), _ONE)
    with explained_errors("answering the first question"):
        for _ in speech.read(
            completion, StopStrings(()), spoken, CompletionTimeouts(3 * timeout_s, timeout_s)
        ):
            pass
    chip.end_generation()
    tokens = chip.usage() - _ONE - spoken.surplus - (prompt.length - 1)
    chip.clear()
    if tokens < 1:
        raise ModelError(f"the HEF takes {tokens} tokens for a frame: expected one or more")
    return tokens

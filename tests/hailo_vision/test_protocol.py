"""What crosses the process border arrives as it was sent. Each field is checked before, by the API."""

from __future__ import annotations

import json

from hailo_vision.protocol import ChatMessage, VisionRequest
from tests.hailo_vision.talk import question, request_fields, say, vision_request


def test_everything_that_can_be_asked() -> None:
    request = vision_request(
        {
            "messages": [say("system", "Be short."), say("user", "a", 1, "b"), say("assistant", "c")],
            "max_tokens": 7,
            "temperature": 0.5,
            "top_p": 0.9,
            "top_k": 5,
            "seed": 2**63 - 1,
            "frequency_penalty": -2,
            "presence_penalty": 2,
            "repetition_penalty": 1.1,
            "stop": ["\n"],
            "response_format": {"type": "json_schema", "schema": {"type": "object"}},
            "context_policy": "drop_oldest",
            "logit_bias": {"5": -100, "7": 1.5},
        }
    )
    crossed = VisionRequest.from_json(json.loads(json.dumps(request.to_json())))
    assert crossed == request
    assert crossed.messages[1] == ChatMessage("user", ("a", 1, "b"))
    assert crossed.sampling.bias == {5: -100.0, 7: 1.5}
    assert vision_request(request_fields(request)) == request


def test_what_is_not_said() -> None:
    request = VisionRequest.from_json(json.loads(json.dumps(vision_request({"messages": []}).to_json())))
    assert (request.max_tokens, request.stops, request.response_format) == (None, (), None)
    assert (request.context_policy, request.sampling.repetition) == ("refuse", None)
    assert vision_request(question("Hi")).sampling.temperature == 0

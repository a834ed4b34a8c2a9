"""What `log_level: debug` adds to the log, in both services: how much and how long, never what was said."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.hailo_florence.api.running import FAKE, FAKE_VISION, Running, started
from tests.hailo_vision.api.conftest import CHAT, URI, body

SAID = "Does the zebrafinch of Mrs. Quibble sing?"
VISION = body(
    {
        "role": "user",
        "content": [{"type": "image_url", "image_url": {"url": URI}}, {"type": "text", "text": SAID}],
    },
    temperature=0.25,
    stop=["quibble-stop"],
)
FLORENCE = {"image": URI, "question": SAID, "temperature": 0.25}
ASKED: dict[str, tuple[Any, str, dict[str, Any]]] = {
    "vision": (FAKE_VISION, CHAT, VISION),
    "florence": (FAKE, "/v1/vqa", FLORENCE),
}
SIZES = {"vision": "image_sizes", "florence": "question_length"}


def lines(running: Running, message: str) -> list[dict[str, Any]]:
    """The log's lines of this message."""
    found = [json.loads(line) for line in running.log.splitlines()]
    return [line for line in found if line["message"] == message]


@pytest.mark.parametrize("service", ASKED)
def test_debug_tells_sizes_parameters_and_times_and_no_content(service: str) -> None:
    module, path, request = ASKED[service]
    with started(module, "--settings", json.dumps({"log_level": "debug"})) as running:
        reply = running.client.post(path, json=request, headers={"X-Request-ID": "the-one"})
        assert reply.status_code == 200, reply.text
        [asked], [stages] = lines(running, "request"), lines(running, "stages")
        assert asked["request_id"] == stages["request_id"] == "the-one"
        assert (asked["level"], stages["level"]) == ("DEBUG", "DEBUG")
        assert asked["temperature"] == 0.25
        assert asked[SIZES[service]]
        assert {"vision_ms", "decode_ms"} <= set(stages)
        for secret in (SAID, "zebrafinch", "quibble", URI.partition(",")[2][:40]):
            assert secret.lower() not in running.log.lower()


@pytest.mark.parametrize("service", ASKED)
def test_without_debug_there_is_none_of_it(service: str) -> None:
    module, path, request = ASKED[service]
    with started(module, "--settings", json.dumps({"log_level": "info"})) as running:
        assert running.client.post(path, json=request).status_code == 200
        assert lines(running, "request") == lines(running, "stages") == []
        [told] = [line for line in map(json.loads, running.log.splitlines()) if "tokens_generated" in line]
        assert told["tokens_per_second"] > 0

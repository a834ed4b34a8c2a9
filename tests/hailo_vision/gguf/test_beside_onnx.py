"""One service, two backends: the demo model as GGUF beside the demo model as ONNX, over HTTP."""

from __future__ import annotations

import json
from pathlib import Path

from tests.hailo_florence.api.running import started
from tests.hailo_vision.api.test_models import ask, states
from tests.hailo_vision.conversations import DEMO


def test_models_of_two_backends_answer_in_turns(demo: Path, tmp_path: Path) -> None:
    keys = {"backend": "cpu", "threads": 1, "models": [f"onnx={DEMO}", f"gguf={demo}"]}
    file = tmp_path / "hailo-vision.json"
    file.write_text(json.dumps(keys))
    with started(("hailo_vision", "--config", str(file))) as running:
        for model in ("gguf", "onnx", "gguf"):
            reply = ask(running, model)
            assert reply.status_code == 200, reply.text
            assert reply.json()["model"] == model
            assert "red circle" in reply.json()["choices"][0]["message"]["content"]
        assert states(running) == {"onnx": "loaded", "gguf": "loaded"}
        metrics = running.client.get("/metrics").text
        infos = [line for line in metrics.splitlines() if line.startswith("hailo_vision_model_info{")]
        assert len(infos) == 2

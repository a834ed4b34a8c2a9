"""LiteLLM's proxy with the configuration of docs/clients.md, as `make client-tools` installs it."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.clients.conftest import CIRCLE, PAIR, ask
from tests.hailo_florence.api.running import Running, free_port

ROOT = Path(__file__).parents[2]
PROXY = ROOT / ".cache/litellm/bin/litellm"
KEY = "sk-test"
MODEL = "hailo-vision"
START_S = 180.0
"""It imports for half a minute on an idle machine."""
pytestmark = pytest.mark.skipif(
    not (ROOT / ".cache/litellm/.done").exists(), reason="make client-tools installs LiteLLM's proxy"
)


def configuration(port: int) -> str:
    """The page's `config.yaml`, for a service on this port."""
    page = (ROOT / "docs/clients.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"(?m)(^    model_list:\n(?:^    .*\n)+)", page)
    return re.sub("(?m)^    ", "", block).replace("HOST:11435", f"127.0.0.1:{port}")


@pytest.fixture(scope="module")
def proxy(vision: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of the proxy, which has the service behind it."""
    folder, port = tmp_path_factory.mktemp("proxy"), free_port()
    (folder / "config.yaml").write_text(configuration(vision.port))
    words = ["--config", "config.yaml", "--host", "127.0.0.1", "--port", str(port), "--telemetry", "False"]
    own = {"LITELLM_MASTER_KEY": KEY, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("LITELLM", "DATABASE"))
    }
    with (folder / "log").open("w") as log:
        popen = subprocess.Popen(
            [str(PROXY), *words], cwd=folder, stdout=log, stderr=log, env={**clean, **own}
        )
    headers = {"Authorization": f"Bearer {KEY}"}
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as client:
            until_up(client, popen, folder / "log")
            yield client
    finally:
        popen.terminate()
        with suppress(subprocess.TimeoutExpired):
            popen.wait(20)
        popen.kill()
        popen.wait(10)


def until_up(client: httpx.Client, popen: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        assert popen.poll() is None, log.read_text()[-2000:]
        with suppress(httpx.TransportError):
            if client.get("/health/liveliness").status_code == 200:
                return
        time.sleep(0.5)
    raise AssertionError(log.read_text()[-2000:])


def answered(reply: httpx.Response) -> Any:
    assert reply.status_code == 200, reply.text
    return reply.json()


def test_chat_whole_and_as_a_stream(proxy: httpx.Client) -> None:
    body = {"model": MODEL, "messages": ask("What color is the circle?", CIRCLE), "temperature": 0}
    said = answered(proxy.post("/v1/chat/completions", json=body))
    assert (said["choices"][0]["message"]["content"], said["usage"]["completion_tokens"]) == ("red", 2)
    body = {"model": MODEL, "messages": ask("Describe the image.", PAIR), "stream": True}
    told = proxy.post("/v1/chat/completions", json=body).text
    assert (
        "".join(re.findall(r'"content":\s?"([^"]*)"', told)) == "A red circle to the left of a blue square."
    )
    assert told.rstrip().endswith("data: [DONE]")


def test_the_other_apis_that_it_offers(proxy: httpx.Client) -> None:
    """Each of them once took the model out for everybody who asked the proxy afterwards."""
    parts = [
        {"type": "input_image", "image_url": CIRCLE, "detail": "auto"},
        {"type": "input_text", "text": "What color is the circle?"},
    ]
    asked = {"model": MODEL, "input": [{"role": "user", "content": parts}], "temperature": 0}
    said = answered(proxy.post("/v1/responses", json=asked))
    assert [part["text"] for item in said["output"] for part in item["content"]] == ["red"]
    source = {"type": "base64", "media_type": "image/png", "data": CIRCLE.partition(",")[2]}
    content = [{"type": "image", "source": source}, {"type": "text", "text": "What color is the circle?"}]
    asked = {"model": MODEL, "max_tokens": 50, "messages": [{"role": "user", "content": content}]}
    said = answered(proxy.post("/v1/messages", json=asked))
    assert [block["text"] for block in said["content"]] == ["red"]
    said = answered(proxy.post("/v1/completions", json={"model": MODEL, "prompt": "Hi"}))
    assert "demo model" in said["choices"][0]["text"]


def test_its_health_and_an_error(proxy: httpx.Client) -> None:
    health = answered(proxy.get("/health"))
    assert (health["healthy_count"], health["unhealthy_count"]) == (1, 0)
    bad = proxy.post(
        "/v1/chat/completions", json={"model": MODEL, "messages": ask("Hi", "data:image/png;base64,AAAA")}
    )
    assert bad.status_code == 400
    assert "image" in bad.json()["error"]["message"]
    # The client's fault takes nothing out.
    assert answered(proxy.post("/v1/completions", json={"model": MODEL, "prompt": "Hi"}))

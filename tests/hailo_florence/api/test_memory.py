"""The HTTP process stays small, whatever is uploaded to it at once."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.hailo_florence.api.conftest import data_uri, red_circle
from tests.hailo_florence.api.running import FAKE, started

CAP_MB = 130
SLOW = ("--options", '{"step_s": 0.2}', "--settings", '{"queue_size": 12}')


def peak_mb(pid: int) -> float:
    """The most resident memory a process ever had."""
    match = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert match
    return int(match[1]) / 1000


def padded_image(size: int) -> bytes:
    """A small PNG grown to `size` bytes by a chunk that decoders skip."""
    png = red_circle((64, 64), "PNG")
    filler = size - len(png) - 12
    chunk = filler.to_bytes(4, "big") + b"fiLl" + bytes(filler) + b"\0\0\0\0"
    return png[:33] + chunk + png[33:]


@pytest.mark.parametrize("form", [False, True], ids=["json", "form"])
def test_many_large_uploads_at_once(form: bool) -> None:
    image = padded_image(9_900_000)

    def post(port: int) -> int:
        url = f"http://127.0.0.1:{port}/v1/caption"
        if form:
            return httpx.post(url, files={"image": image}, timeout=120).status_code
        return httpx.post(url, json={"image": data_uri(image, "png")}, timeout=120).status_code

    with started(FAKE, *SLOW) as running, ThreadPoolExecutor(10) as pool:
        statuses = list(pool.map(post, [running.port] * 12))
        assert peak_mb(running.popen.pid) < CAP_MB
    assert set(statuses) <= {200, 400, 503}
    assert statuses.count(503) < len(statuses)


def test_the_http_process_is_under_80_mb_with_the_model_loaded() -> None:
    with started() as running:
        running.client.post("/v1/caption", files={"image": red_circle()})
        assert running.health()["memory_mb"]["http"] < 80

"""What is kept of a client's pictures serves nobody else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.hailo_florence.api.conftest import data_uri, red_circle
from tests.hailo_florence.api.running import Running, started

URI = data_uri(red_circle((300, 200)))


def caption(running: Running, key: str = "") -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    reply = running.client.post("/v1/caption", json={"image": URI}, headers=headers)
    assert reply.status_code == 200, reply.text
    return dict(reply.json())


def test_a_picture_that_comes_again_says_so_and_is_counted(florence: Running) -> None:
    caption(florence)
    assert caption(florence)["cached"] is True
    count = florence.client.get("/metrics").text.partition("\nhailo_florence_cached_pictures_total ")[2]
    assert float(count.split()[0]) >= 1
    batch = florence.client.post("/v1/caption", json={"images": [URI]}).json()
    assert batch["results"][0]["cached"] is True


def test_each_key_has_its_own(tmp_path: Path) -> None:
    keys = ["first-of-the-keys", "second-of-the-keys"]
    config = tmp_path / "hailo-florence.yaml"
    config.write_text(f"api_keys: [{', '.join(keys)}]\nthreads: 1\n")
    with started(("hailo_florence", "--demo", "--config", str(config))) as running:
        first, second = (caption(running, key) for key in keys)
        again = caption(running, keys[0])
    assert "cached" not in first
    assert "cached" not in second
    assert again["cached"] is True

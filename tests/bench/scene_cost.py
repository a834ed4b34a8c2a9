"""What an unchanged frame of a camera costs beside a caption: CPU time of the whole service, both in turns.

`python -m tests.bench.scene_cost [FOLDER] [FRAMES]`; the demo model by default. Frames of 640 x 480.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from tests.bench.bench_service import service
from tests.bench.processes import cpu_seconds
from tests.bench.scenes import Camera, background, pixels_of
from tests.hailo_florence.api.running import Running

_SIZE = (640, 480)
DEMO = Path(__file__).parents[2] / "hailo_florence/everyday_model"


def frames(count: int) -> list[bytes]:
    """Different JPEG files of one scene."""
    rng = np.random.default_rng(0)
    small = Image.open(io.BytesIO(Camera(0, 95, 0).frame(pixels_of(background(rng)), rng)))
    pixels = np.asarray(small.resize(_SIZE), np.float32)
    made = []
    for _ in range(count):
        noisy = pixels + rng.standard_normal(pixels.shape, np.float32) * 4
        file = io.BytesIO()
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=80)
        made.append(file.getvalue())
    return made


def cost(running: Running, files: list[bytes], **fields: str) -> float:
    """CPU seconds of one request for a caption."""
    before = cpu_seconds(running.popen.pid)
    for file in files:
        reply = running.client.post("/v1/caption", files={"image": file}, data=fields)
        assert reply.status_code == 200, reply.text
        assert "camera" not in fields or reply.json()["unchanged"]
    return (cpu_seconds(running.popen.pid) - before) / len(files)


def main(folder: Path, count: int) -> None:
    """Print both and their ratio."""
    files = frames(count)
    with service(folder) as running:
        running.client.post("/v1/caption", files={"image": files[0]}, data={"camera": "a"})
        whole = cost(running, files[:: max(1, count // 40)])
        unchanged = cost(running, files, camera="a")
    print(
        f"caption {whole * 1e3:.2f} ms, unchanged frame {unchanged * 1e3:.2f} ms: 1/{whole / unchanged:.1f}"
    )


if __name__ == "__main__":
    main(
        Path(sys.argv[1]) if len(sys.argv) > 1 else DEMO,
        int(sys.argv[2]) if len(sys.argv) > 2 else 400,
    )

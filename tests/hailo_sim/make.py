"""Complete model folders for the NPU, made from the committed demo models without PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hailo_common.inference.model_dir import ModelDir
from tests.hailo_sim.florence import FlorenceHefs
from tests.hailo_sim.hef_file import ZOO
from tests.hailo_sim.vision import QWEN3_NAME, QWEN3_TEMPLATE, write_vision

ROOT = Path(__file__).parent.parent.parent
FLORENCE = ROOT / "hailo_florence" / "demo_model"
VISION = ROOT / "hailo_vision" / "demo_model"


def make_florence_folder(dest: Path, source: Path = FLORENCE, **options: Any) -> Path:
    """HEFs, embeddings, configs and the vision encoder; see `FlorenceHefs` for the options."""
    FlorenceHefs(ModelDir(source), **options).write(dest)
    return dest


def make_vision_folder(
    dest: Path,
    source: Path = VISION,
    *,
    frame: tuple[int, int, int] = (128, 128, 3),
    context: int = 2048,
    architecture: str = "hailo10h",
    zoo: str = ZOO,
) -> Path:
    """A HEF of the whole model, and JSON files; `frame` is (height, width, channels), `context` in tokens.

    A HEF of a later `zoo` than the simulated HailoRT is refused.
    """
    write_vision(dest, ModelDir(source), frame=frame, context=context, architecture=architecture, zoo=zoo)
    return dest


def make_qwen3_folder(dest: Path, source: Path = VISION, *, zoo: str = "5.3.0") -> Path:
    """The same as Qwen3-VL comes: frames of 288 x 512, one in a request, its template, its name."""
    about = {"frame": (288, 512, 3), "context": 2048, "architecture": "hailo10h", "zoo": zoo}
    write_vision(dest, ModelDir(source), name=QWEN3_NAME, template=QWEN3_TEMPLATE, max_frames=1, **about)
    return dest

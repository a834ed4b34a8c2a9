"""What the decoder process carries: three parsers of images, nothing of the HTTP side, no colour engine."""

from __future__ import annotations

import subprocess
import sys

from tests.hailo_common.images.make import HAS_AVIF

FORBIDDEN = {"fastapi", "uvicorn", "starlette", "numpy", "PIL.ImageCms", "hailo_common.images.decoder"}


def test_the_child_imports_little() -> None:
    code = "import sys, hailo_common.images.child; print(*sys.modules)"
    loaded = set(
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, check=True, text=True
        ).stdout.split()
    )
    plugins = {name for name in loaded if name.startswith("PIL.") and name.endswith("ImagePlugin")}
    assert not loaded & FORBIDDEN
    kinds = ("Bmp", "Gif", "Jpeg", "Png", "WebP", "Tiff", *(["Avif"] if HAS_AVIF else []))
    assert plugins == {f"PIL.{kind}ImagePlugin" for kind in kinds}
    assert not {name for name in loaded if name.startswith(("hailo_common.web", "hailo_common.engine"))}

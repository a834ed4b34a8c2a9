"""What the engine process does before its walls go up: the 8-bit copy of the vision encoder is made.

Behind the walls no program can be started and nothing of the service be written. Loads no native library:
those start threads, which would stay outside the walls.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hailo_common.engine.prepared import Prepared
from hailo_common.errors import ModelMissing
from hailo_common.inference.model_dir import ModelDir
from hailo_florence.config import FlorenceSettings
from hailo_florence.onnx.int8_file import choose_file


def prepare(options: Mapping[str, Any]) -> Prepared:
    """The options with `vision_file` and `vision_note`, and the folder of that file to be read.

    Raises ModelError where `quantisation: int8` cannot be had. What is missing the engine says itself.
    """
    settings = FlorenceSettings.from_engine_options(options)
    folder = ModelDir(Path(options["model_dir"]), str(options.get("variant", "")))
    try:
        folder.check()
        chosen = choose_file(folder, settings.quantisation, settings.threads)
    except ModelMissing:
        return Prepared(dict(options))
    more = {"vision_file": str(chosen.path), "vision_note": chosen.note}
    return Prepared({**options, **more}, readable=[str(chosen.path.parent)])

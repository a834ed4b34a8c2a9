"""An engine's process on llama.cpp, behind its walls or without: it answers, then tries what it may not.

    python -m tests.hailo_vision.gguf.walled engine|none FOLDER SECRET

prints a JSON object: the answer about a picture, how many threads it has, and what came of each attempt.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from hailo_common.ipc.walls import begin_child, for_engine
from tests.hailo_common.ipc.wall_program import attempted

_STATUS = Path("/proc/self/status")


def main() -> None:
    """As `hailo_common.engine.child` does it: first the walls, then whatever starts threads."""
    walls, folder, secret = sys.argv[1:]
    begin_child(500)
    missing = for_engine([folder], []) if walls == "engine" else []
    answers = answer(folder)
    status = dict(line.split(":\t", 1) for line in _STATUS.read_text().splitlines() if ":\t" in line)
    told = {"missing": missing, "answers": answers, "threads": int(status["Threads"])}
    tries: dict[str, Callable[[], object]] = {
        "key file": Path(secret).read_bytes,
        "a file beside the model": lambda: Path(folder, "new").write_bytes(b""),
        "a program": lambda: os.posix_spawn("/bin/true", ["true"], {}),
    }
    print(json.dumps({**told, **attempted(tries)}))


def answer(folder: str) -> list[str]:
    """What the model says about a picture, asked twice in company."""
    from hailo_vision.config import VisionSettings  # noqa: PLC0415 - these start threads
    from hailo_vision.gguf.engine import make_gguf_engine  # noqa: PLC0415
    from tests.hailo_vision.gguf.conftest import Talk  # noqa: PLC0415
    from tests.hailo_vision.gguf.test_engine import scenes  # noqa: PLC0415
    from tests.hailo_vision.talk import question, vision_request  # noqa: PLC0415

    options = {**VisionSettings().engine_options(), "model_dir": folder, "threads": 2, "max_num_seqs": 2}
    with make_gguf_engine(options) as engine:
        engine.load()
        talk = Talk(engine)
        request = vision_request(question(0, "Describe the image.", max_tokens=24))
        asked = [talk.begin(request, [picture]) for picture in scenes(2)]
        return [result.text for result in talk.finish(*asked)]


if __name__ == "__main__":
    main()

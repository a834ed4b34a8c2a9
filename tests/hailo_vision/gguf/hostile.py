"""Damaged GGUF files, each loaded and asked in a process of its own, with a deadline and a bound of memory.

`python -m tests.hailo_vision.gguf.hostile [--count N] [--first SEED] [--family F]`. A file may answer, or be
refused with a ModelError or ModelMissing that names it; a crash, a hang or much memory is a finding.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import sys
import tempfile
import traceback
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hailo_common.errors import EngineFailed, InvalidParameter, ModelError, ModelMissing
from hailo_vision.config import VisionSettings
from hailo_vision.gguf.engine import GgufEngine, make_gguf_engine
from hailo_vision.gguf.library import Library
from tests.hailo_vision.conversations import DEMO
from tests.hailo_vision.gguf.mutations import Pair, mutated
from tests.hailo_vision.gguf.rawfile import read_raw
from tests.hailo_vision.gguf.tiny import FAMILIES, write_family
from tests.hailo_vision.talk import question, vision_request
from tools.gguf_export.__main__ import convert

_SECONDS = 10  # of CPU, so that a busy machine makes no findings
_WALL_SECONDS = 120
_MEMORY = 2 << 30
ANSWERED, REFUSED, OTHER = 0, 3, 4


@dataclass(frozen=True)
class Outcome:
    """How one pair of files ended: `code` as above, or minus the signal; `said` is why."""

    seed: int
    what: str
    code: int
    said: str

    @property
    def good(self) -> bool:
        """True when it answered or was refused by name."""
        return self.code in (ANSWERED, REFUSED)


def try_seed(pair: Pair, seed: int, folder: Path) -> Outcome:
    """Damage the pair and see what becomes of it; `folder` is written over."""
    files, what = mutated(pair, seed)
    return try_files(files, folder, seed=seed, what=what)


def try_files(files: tuple[bytes, bytes], folder: Path, *, seed: int = 0, what: str = "") -> Outcome:
    """Load two files' bytes in a child process."""
    (folder / "model.gguf").write_bytes(files[0])
    (folder / "mmproj.gguf").write_bytes(files[1])
    said = folder / "said.txt"
    said.write_bytes(b"")
    Library.open()
    child = os.fork()
    if not child:
        os._exit(_in_child(folder, said))
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return Outcome(seed, what, code, said.read_text("utf-8", "replace")[-1500:])


def _in_child(folder: Path, said: Path) -> int:
    output = os.open(said, os.O_WRONLY | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS + 1))
    memory = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + _MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    signal.alarm(_WALL_SECONDS)
    try:
        return _load_and_ask(folder)
    except BaseException:  # whatever it is, the parent hears of it
        traceback.print_exc()
        sys.stderr.flush()
        return OTHER


def _load_and_ask(folder: Path) -> int:
    options = {**VisionSettings().engine_options(), "threads": 1, "memory_max_mb": 1024, "max_num_seqs": 2}
    engine = make_gguf_engine({**options, "model_dir": str(folder)})
    try:
        info = engine.load()  # whatever else this raises is a load that would be tried again without end
    except (ModelError, ModelMissing) as error:
        print(error)
        return REFUSED if str(folder) in str(error) else OTHER
    try:
        if info.capabilities["vision"]:
            _ask(engine, 1, (0, "What is this?"))
        _ask(engine, 2, ("Hello",))
    except (EngineFailed, InvalidParameter) as error:  # a request fails, the engine stays
        print(type(error).__name__, error)
        return ANSWERED
    return ANSWERED


def _ask(engine: GgufEngine, number: int, parts: tuple[str | int, ...]) -> None:
    images = [np.full((112, 112, 3), 99, np.uint8)] if 0 in parts else []
    engine.begin(number, vision_request(question(*parts, max_tokens=3)), images)
    for _ in range(2000):
        for _, event in engine.advance():
            if isinstance(event, Exception):
                raise event
            if hasattr(event, "finish_reason"):
                return
    raise TimeoutError("no answer")


def run(first: int, count: int, pair: Pair) -> list[Outcome]:
    """The outcomes of seeds one after the other."""
    with tempfile.TemporaryDirectory(dir=_memory_folder()) as name:
        return [try_seed(pair, seed, Path(name)) for seed in range(first, first + count)]


def _memory_folder() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def good_pair(folder: Path, family: str = "") -> Pair:
    """The demo model as GGUF files, or a family's tiny model, taken apart."""
    if family:
        write_family(family, folder)
    else:
        convert(DEMO, folder)
    return read_raw(folder / "model.gguf"), read_raw(folder / "mmproj.gguf")


def main() -> int:
    """Report each finding as it comes, and counts at the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--family", default="", choices=["", *FAMILIES], help="instead of the demo model")
    options = parser.parse_args()
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(dir=_memory_folder()) as name:
        pair = good_pair(Path(name), options.family)
        for seed in range(options.first, options.first + options.count):
            (outcome,) = run(seed, 1, pair)
            counts[{ANSWERED: "answered", REFUSED: "refused"}.get(outcome.code, f"code {outcome.code}")] += 1
            if not outcome.good:
                print(f"{seed} {outcome.code} {outcome.what}\n    {outcome.said[-700:]}", flush=True)
    print(dict(counts))
    return int(any(key.startswith("code") for key in counts))


if __name__ == "__main__":
    sys.exit(main())

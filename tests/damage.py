"""Damaged model folders by the thousand: each is loaded truly or refused with the file's name.

    python -m tests.damage --count 10000 --seed 1

A folder is a demo model with one to three of its files changed, as the seed says. It is loaded by the real
engine in a process of its own, forked from one that has the libraries already, under the time and memory that
the unit would give it. `outcome` says what became of it; what breaks the rule is printed and counted.
"""

from __future__ import annotations

import argparse
import collections
import importlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hailo_common.errors import ModelError, ModelMissing

ROOT = Path(__file__).parent.parent
DEMOS = {
    "hailo_vision": ROOT / "hailo_vision/demo_model",
    "hailo_florence": ROOT / "hailo_florence/demo_model",
}
SECONDS, BYTES = 10, 2 << 30
"""What one load may take: the time is the issue's, the memory below what either unit allows."""
LOADED, REFUSED, MISSING, CRASHED = "loaded", "refused", "missing", "crashed"
_ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 255, 2**31 - 1, 2**31, 2**32, 2**63, 2**64, -(2**63), 10**30),
    *(
        0.0,
        -0.5,
        1e-30,
        1e308,
        "",
        "a",
        "\0",
        "x" * 100_000,
        "\u202e\x1b[2J",
        "../../etc/passwd",
        "/dev/zero",
    ),
    *([], {}, [[]], [None] * 1000, {"a": {"a": {}}}, [-1], [2**40]),
)


@dataclass(frozen=True)
class Outcome:
    """How a load ended; `text` is what the operator reads."""

    kind: str
    text: str
    seconds: float

    def breaks(self, folder: Path) -> str:
        """Why this must not be, or nothing."""
        if self.seconds > SECONDS:
            return f"took {self.seconds:.1f} s"
        if self.kind in (LOADED, CRASHED):
            return ""
        if self.kind not in (REFUSED, MISSING):
            return f"ended with {self.kind}"
        names = {path.name for path in folder.rglob("*")} | {
            "chat template",
            "encoder",
            "decoder",
            "embedding",
        }
        return "" if any(name in self.text for name in names) else "names no file"


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)  # another disk


def damaged(source: Path, target: Path, dice: random.Random) -> list[str]:
    """Make a damaged copy (files that are whole are hard links); returns what was done."""
    shutil.copytree(source, target, copy_function=_link)
    files = sorted(path for path in target.rglob("*") if path.is_file() and path.suffix in (".json", ".onnx"))
    done = []
    for path in dice.sample(files, dice.choice((1, 1, 1, 2, 3))):
        data = path.read_bytes()
        change = dice.choice(_JSON if path.suffix == ".json" else _ONNX)
        path.unlink()
        path.write_bytes(change(data, dice, files))
        done.append(f"{change.__name__} {path.name}")
    return done


Change = Callable[[bytes, random.Random, list[Path]], bytes]


def cut(data: bytes, dice: random.Random, _files: list[Path]) -> bytes:
    """Only the beginning."""
    return data[: dice.choice((0, 1, dice.randrange(len(data) + 1), max(0, len(data) - 1)))]


def bits(data: bytes, dice: random.Random, _files: list[Path]) -> bytes:
    """Some bits turned; half of them near an end, where structure lies."""
    made = bytearray(data)
    for _ in range(dice.choice((1, 2, 10, 100)) if made else 0):
        near = dice.choice((len(made), min(len(made), 4096)))
        place = dice.randrange(near)
        made[dice.choice((place, len(made) - 1 - place))] ^= 1 << dice.randrange(8)
    return bytes(made)


def block(data: bytes, dice: random.Random, _files: list[Path]) -> bytes:
    """A piece replaced by zeros, ones or noise, or doubled, or left out."""
    first = dice.randrange(len(data) + 1)
    last = min(len(data), first + dice.choice((1, 16, 512, 65536)))
    piece = data[first:last]
    size = len(piece)
    return (
        data[:first]
        + dice.choice((bytes(size), b"\xff" * size, dice.randbytes(size), piece * 2, b""))
        + data[last:]
    )


def another(_data: bytes, dice: random.Random, files: list[Path]) -> bytes:
    """Another file's contents."""
    there = [path for path in files if path.exists()]
    return dice.choice(there).read_bytes() if there else b""


def value(data: bytes, dice: random.Random, _files: list[Path]) -> bytes:
    """A value of the JSON replaced by an odd one, removed, or all of it nested deeply."""
    try:
        root = json.loads(data)
    except ValueError:
        return data
    places = list(_places(root, 400))
    if not places or dice.random() < 0.02:
        return b"[" * dice.choice((10, 100_000)) + data
    for _ in range(dice.choice((1, 1, 3))):
        holder, key = dice.choice(places)
        if isinstance(holder, dict) and dice.random() < 0.2:
            holder.pop(key, None)
        else:
            holder[key] = dice.choice(_ODD)
    return json.dumps(root).encode()


def _places(root: Any, most: int) -> list[tuple[Any, Any]]:
    """Some of the places of a JSON value, those near its top first."""
    places: list[tuple[Any, Any]] = []
    waiting = collections.deque([root])
    while waiting and len(places) < most:
        each = waiting.popleft()
        inner = each.items() if isinstance(each, dict) else enumerate(each) if isinstance(each, list) else ()
        for key, child in list(inner)[:50]:
            places.append((each, key))
            waiting.append(child)
    return places


def number(data: bytes, dice: random.Random, _files: list[Path]) -> bytes:
    """A length, size or type of the ONNX file's structure changed."""
    made = bytearray(data)
    for _ in range(dice.choice((1, 3))):
        spans = _spans(made, dice)
        if spans:
            made[dice.choice(spans)] = dice.choice((0, 1, 2, 7, 8, 0x7F, 0x80, 0xFF))
    return bytes(made)


def _spans(data: bytearray, dice: random.Random) -> list[int]:
    """Some places of tags and lengths, found by going down a random way."""
    places: list[int] = []
    at, end = 0, len(data)
    for _ in range(400):
        if at >= end:
            break
        places.append(at)
        kind, at = data[at] & 7, at + 1
        size = shift = 0
        while at < end and kind in (0, 2):
            places.append(at)
            size |= (data[at] & 0x7F) << shift
            shift, at = shift + 7, at + 1
            if data[at - 1] < 0x80:
                break
        if kind == 2 and dice.random() < 0.5:
            end = min(end, at + size)
        else:
            at += {0: 0, 1: 8, 2: size, 5: 4}.get(kind, 1)
    return places


_ANY: tuple[Change, ...] = (cut, bits, block, another)
_JSON: tuple[Change, ...] = (*_ANY, value, value, value, value, value, value)
_ONNX: tuple[Change, ...] = (*_ANY, bits, number, number, number)


def outcome(service: str, folder: Path) -> Outcome:
    """Load a folder in a process of its own."""
    reader, writer = os.pipe()
    began = time.monotonic()
    pid = os.fork()
    if not pid:
        os.close(reader)
        try:
            os.write(writer, json.dumps(_load(service, folder)).encode()[:60_000])
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        told = pipe.read()
    _, status = os.waitpid(pid, 0)
    seconds = time.monotonic() - began
    if told:
        kind, text, used = json.loads(told)
        return Outcome(kind, text, used)
    number = os.WTERMSIG(status)
    if number in (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL):
        return Outcome(CRASHED, signal.Signals(number).name, 0)
    return Outcome(f"signal {number}", "", seconds)


def _load(service: str, folder: Path) -> tuple[str, str, float]:
    resource.setrlimit(resource.RLIMIT_DATA, (BYTES, BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.setitimer(signal.ITIMER_REAL, 6 * SECONDS)  # CPU time is what counts, see below
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    try:
        with _engine(service, {"model_dir": str(folder), "threads": 1, "backend": "cpu"}) as engine:
            engine.load()
        kind, text = LOADED, ""
    except ModelError as error:
        kind, text = REFUSED, str(error)
    except ModelMissing as error:
        kind, text = MISSING, str(error)
    except Exception as error:
        kind, text = type(error).__name__, str(error)
    used = resource.getrusage(resource.RUSAGE_SELF)
    return kind, text, used.ru_utime + used.ru_stime


def _engine(service: str, options: Mapping[str, Any]) -> Any:
    if service == "hailo_vision":
        from hailo_vision.engine_factory import make_engine  # noqa: PLC0415

        return make_engine(options)
    from hailo_florence.engine import make_engine as make_florence  # noqa: PLC0415

    return make_florence(options)


def prepare() -> None:
    """Import what engines need, so that a forked process begins with it."""
    for name in ("hailo_florence.engine", "hailo_florence.onnx.stages", "hailo_vision.engine_factory"):
        importlib.import_module(name)
    importlib.import_module("hailo_vision.onnx.engine")


def campaign(
    first: int, count: int, place: Path, sources: Mapping[str, Path] = DEMOS
) -> tuple[dict[str, int], list[str]]:
    """How many folders ended how, and what breaks the rule; folder n is always the same."""
    prepare()
    ends: collections.Counter[str] = collections.Counter()
    broken = []
    for seed in range(first, first + count):
        dice = random.Random(seed)
        service = dice.choice(sorted(sources))
        folder = place / f"model-{seed}"
        done = damaged(sources[service], folder, dice)
        end = outcome(service, folder)
        ends[end.kind] += 1
        why = end.breaks(folder)
        if why:
            broken.append(f"{seed} {service} ({', '.join(done)}): {why}: {end.text[:300]}")
            print(broken[-1], flush=True)
        shutil.rmtree(folder)
    return dict(ends), broken


def main() -> int:
    """The long form."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        ends, broken = campaign(options.seed, options.count, Path(place))
    print(ends, len(broken), "break the rule")
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main())

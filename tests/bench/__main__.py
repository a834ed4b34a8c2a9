"""Prints every measured ratio as a Markdown table: `make bench`. All of one run, on this machine.

`python -m tests.bench [section ...]` runs some of it.
"""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy
import onnxruntime

from tests.bench import bench_decode, bench_peers
from tests.bench.bench_chat import against_bare, beside_decoding
from tests.bench.bench_clients import clients
from tests.bench.bench_follow_up import follow_up
from tests.bench.bench_models import ROOT, base_model, chat_bench_model, chat_model
from tests.bench.bench_npu import health_while_held, host_cost
from tests.bench.bench_pipeline import against_transformers, chat_against_transformers
from tests.bench.bench_service import Row, health_under_load, latency, start_up
from tests.bench.bench_stream import streaming
from tests.hailo_florence.cases import DEMO
from tests.hailo_vision.conversations import DEMO as CHAT_DEMO

SAMPLE = ROOT / "docs" / "sample.jpg"
TOKENS = 40
Rows = Iterator[list[Row]]


@dataclass(frozen=True)
class Wish:
    """What sections are told: a picture, the chat model taken for the demo, the share of all rounds."""

    image: bytes
    chat: Path
    effort: float

    def rounds(self, usual: int) -> int:
        """How many rounds to make."""
        return max(2, round(usual * self.effort))


def http(wish: Wish) -> Rows:
    """HTTP layer alone: streamed chunks, cost of a request"""
    yield streaming(wish.rounds(5))
    yield beside_decoding(wish.image, wish.rounds(200))


def decoding(wish: Wish) -> Rows:
    """pictures, ours against plain Pillow"""
    for label, ours, theirs, ratio in bench_decode.bench(wish.rounds(9)):
        name = f"{label}: full-resolution Pillow / ours"
        yield [(name, f"{theirs:.1f} / {ours:.1f} ms = **{ratio:.1f}x**")]


def florence(wish: Wish) -> Rows:
    """hailo-florence on its demo model: latency, start, /health under load"""
    yield latency("demo model", DEMO, wish.image, max_length=100, rounds=wish.rounds(200))
    yield start_up(DEMO)
    yield health_under_load(DEMO, wish.image)


def npu(wish: Wish) -> Rows:
    """the simulated chip: the host's share of a decoder step, /health while Python's lock is held"""
    yield host_cost(wish.rounds(40))
    yield health_while_held()


def chat(wish: Wish) -> Rows:
    """hailo-vision on its demo model: first token, each token, follow-up question"""
    model = chat_model(wish.chat)
    yield against_bare(model, wish.image, tokens=TOKENS, rounds=wish.rounds(200))
    yield follow_up(model, wish.image, tokens=TOKENS, rounds=wish.rounds(60))


def many_clients(wish: Wish) -> Rows:
    """hailo-vision on its demo model: 1, 8 and 32 clients"""
    yield clients(chat_model(wish.chat), wish.image, tokens=TOKENS, requests=wish.rounds(320))


def transformers(wish: Wish) -> Rows:
    """both pipelines on their demo models against transformers"""
    yield against_transformers("demo model", DEMO, tokens=12, rounds=wish.rounds(30))
    yield chat_against_transformers(chat_model(wish.chat), image_tokens=64, tokens=12, rounds=wish.rounds(30))


def beside_peers(wish: Wish) -> Rows:
    """hailo-vision beside llama.cpp's own server, on random weights of 2B size"""
    yield bench_peers.rows(bench_peers.peers(wish.rounds(3)))


def chat_large(wish: Wish) -> Rows:
    """Qwen2-VL of 277 M parameters: first token, follow-up question, against transformers"""
    model = chat_bench_model()
    yield chat_against_transformers(model, image_tokens=256, tokens=12, rounds=wish.rounds(5))
    yield follow_up(model, wish.image, tokens=6, rounds=wish.rounds(6))
    yield against_bare(model, wish.image, tokens=12, rounds=wish.rounds(8))


def florence_large(wish: Wish, side: int) -> Rows:
    """Florence-2-base at 384 or 768 px against transformers and bare sessions"""
    name, model = f"Florence-2-base-{side}", base_model(f"base-{side}")
    yield against_transformers(name, model, tokens=20, rounds=wish.rounds(5))
    yield latency(name, model, wish.image, max_length=20, rounds=wish.rounds(12))


def limits(wish: Wish) -> Rows:
    """the shortest possible time of Florence-2-base in fp32 here"""
    from tests.bench.roofline import roofline  # noqa: PLC0415 (needs PyTorch)

    model = base_model("base-384")
    yield roofline("Florence-2-base-384", model, wish.image, tokens=20, rounds=wish.rounds(10))


SECTIONS: dict[str, Callable[[Wish], Rows]] = {
    "http": http,
    "decode": decoding,
    "florence": florence,
    "npu": npu,
    "chat": chat,
    "clients": many_clients,
    "peers": beside_peers,
    "transformers": transformers,
    "roofline": limits,
    "chat-large": chat_large,
    "florence-384": partial(florence_large, side=384),
    "florence-768": partial(florence_large, side=768),
}
NEED_TORCH = ("transformers", "roofline", "chat-large", "florence-384", "florence-768")


def show(rows: list[Row]) -> None:
    """Print table rows as soon as they are known."""
    for name, value in rows:
        print(f"| {name} | {value} |", flush=True)


def read_arguments() -> argparse.Namespace:
    """The command line."""
    told = "\n".join(f"  {name:13} {_what(section)}" for name, section in SECTIONS.items())
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description="Measure and print Markdown rows.",
        epilog=f"sections, quick ones first:\n{told}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("sections", nargs="*", metavar="section", help="all of them when none is named")
    parser.add_argument("--chat-model", type=Path, default=CHAT_DEMO, help="instead of the chat demo model")
    parser.add_argument("--effort", type=float, default=1.0, help="share of the usual rounds, to try things")
    options = parser.parse_args()
    if unknown := [name for name in options.sections if name not in SECTIONS]:
        parser.error(f"no section {', '.join(unknown)}; see --help")
    return options


def _what(section: Callable[[Wish], Rows]) -> str:
    function = section.func if isinstance(section, partial) else section
    return function.__doc__ or ""


def main() -> None:
    """Run the sections; what needs PyTorch only where it is installed."""
    options = read_arguments()
    wish = Wish(SAMPLE.read_bytes(), options.chat_model, options.effort)
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, ", end="")
    print(f"onnxruntime {onnxruntime.__version__}, numpy {numpy.__version__}, one inference thread\n")
    print("| what | measured |\n|---|---|", flush=True)
    for name in options.sections or SECTIONS:
        if name in NEED_TORCH and find_spec("torch") is None:
            print(f"No PyTorch here: {name} is left out.", file=sys.stderr)
            continue
        for rows in SECTIONS[name](wish):
            show(rows)


if __name__ == "__main__":
    main()

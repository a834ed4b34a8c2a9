"""`make run`: both services on their demo models in one terminal, and what to paste into another.

Nothing is started when a port is taken. Ctrl-C ends both, without a word.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import FrameType

from hailo_common.cli.client import reachable
from hailo_common.config.common_keys import DEMO, SHAPES
from hailo_common.config.paths import Paths
from hailo_common.models.demos import KNOWS, find_demos
from hailo_common.models.http import is_local

TREE = Path(__file__).parents[1]

_STOP_S = 35.0
_TEXT = """
hailo-vision and hailo-florence on their demo models. Ctrl-C stops both.
  They know: {knows}.

  In another terminal, from this folder:

    (printf '{{"prompt": "What do you see?", "images": ["data:image/jpeg;base64,'
      base64 -w 0 {seen}; printf '"]}}') |
      curl -H 'Content-Type: application/json' -d @- http://{host}:{vision}/v1/vision/analyze
    curl -H 'Content-Type: application/json' http://{host}:{vision}/v1/chat/completions \\
      -d '{{"model": "qwen2-vl-2b-instruct", "messages": [{{"role": "user", "content": "Who are you?"}}]}}'
    curl -F image=@{told} http://{host}:{florence}/v1/caption
    curl -F image=@{told} -F "question=How many objects are there?" http://{host}:{florence}/v1/vqa

  In a browser: http://{host}:{vision}/ and http://{host}:{florence}/
  API pages: http://{host}:{vision}/docs and http://{host}:{florence}/docs
"""


_OPEN = """\
  Everybody who reaches this machine can use both services: no API key is set. From other machines they are
  at its own addresses, which hostname -I lists. The installed services have keys: api_keys in
  docs/configuration.md.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run until Ctrl-C, or until one of them ends; returns the exit status."""
    args = _parser().parse_args(argv)
    ports = {
        "hailo_vision": (args.vision_port, "VISION_PORT"),
        "hailo_florence": (args.florence_port, "PORT"),
    }
    taken = [(port, variable) for port, variable in ports.values() if _taken(args.host, port)]
    for port, variable in taken:
        print(
            f"Port {port} of {args.host} is taken; see who has it: ss -ltnp 'sport = :{port}'\n"
            f"Another one: make run {variable}={port + 100}",
            file=sys.stderr,
        )
    if taken:
        print("Nothing was started.", file=sys.stderr)
        return 1
    about = {"vision": args.vision_port, "florence": args.florence_port, "knows": _knows(ports)}
    pictures = {"seen": _picture("hailo_vision"), "told": _picture("hailo_florence")}
    print(_TEXT.format(host=_reached_at(args.host), **about, **pictures), flush=True)
    if not is_local(args.host):
        print(_OPEN, file=sys.stderr, flush=True)
    return _serve(args.host, {module: port for module, (port, _) in ports.items()})


def _reached_at(host: str) -> str:
    """An address for links."""
    address = reachable(host)
    return f"[{address}]" if ":" in address else address


def _known(module: str) -> str:
    demos = find_demos(module.replace("_", "-"), Paths(), TREE / module)
    return demos.knows(demos.folder(DEMO))


def _picture(module: str) -> str:
    """A picture of what the service's demo model knows."""
    return "docs/sample.jpg" if _known(module) == KNOWS[SHAPES] else "docs/coffee.jpg"


def _knows(modules: Iterable[str]) -> str:
    """What each service's demo model knows, said once where it is the same."""
    found = {module.replace("_", "-"): _known(module) for module in modules}
    known = list(dict.fromkeys(found.values()))
    return known[0] if len(known) == 1 else ", ".join(f"{name} {what}" for name, what in found.items())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make run", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--vision-port", type=int, default=11435)
    parser.add_argument("--florence-port", type=int, default=11438)
    return parser


def _taken(host: str, port: int) -> bool:
    """True when another program listens there; the services themselves report any other trouble."""
    try:
        with socket.create_server((host, port)):
            return False
    except OSError as error:
        return error.errno == errno.EADDRINUSE


def _serve(host: str, ports: dict[str, int]) -> int:
    with _asked_to_stop() as asked:
        running = [
            subprocess.Popen(
                [sys.executable, "-m", module, "--demo", "--docs", "--host", host, "--port", str(port)],
                # Ctrl-C comes here alone, and from here as the word to stop.
                process_group=0,
            )
            for module, port in ports.items()
        ]
        while not asked and all(each.poll() is None for each in running):
            time.sleep(0.1)
        for each in running:
            each.terminate()
        statuses = [each.wait(_STOP_S) for each in running]
    return 0 if asked else max(map(abs, statuses))


@contextlib.contextmanager
def _asked_to_stop() -> Iterator[list[int]]:
    """Filled by Ctrl-C and SIGTERM."""
    asked: list[int] = []

    def ask(number: int, _: FrameType | None) -> None:
        asked.append(number)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(main())

"""A child that is started in a folder of keys, walls itself off as an engine does, and tries to read one.

    python -P -m tests.hailo_common.ipc.stray_child start MODEL SECRET

starts it, as a service does from `/`, and prints what came of it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from hailo_common.ipc.child_process import start_child
from hailo_common.ipc.messages import child_channel, receive_message
from hailo_common.ipc.walls import for_engine


def start(model: str, secret: str) -> None:
    """Be the parent."""
    popen, sock = start_child("tests.hailo_common.ipc.stray_child")
    sock.setblocking(True)
    sock.sendall(json.dumps({"model": model, "secret": secret}).encode())
    received = receive_message(sock)
    popen.wait(30)
    print(json.dumps(received[0] if received else {}))


def be_the_child() -> None:
    """Build the walls, then try."""
    channel = child_channel()
    asked, _ = channel.receive()
    missing = for_engine([asked["model"]], [])
    told: dict[str, object] = {"missing": missing, "path": sys.path}
    for name, path in (("secret", asked["secret"]), ("model", f"{asked['model']}/config.json")):
        try:
            Path(path).read_bytes()
            told[name] = "got"
        except OSError as error:
            told[name] = type(error).__name__
    channel.send(told)


if __name__ == "__main__":
    if sys.argv[1] == "start":
        start(*sys.argv[2:])
    else:
        be_the_child()

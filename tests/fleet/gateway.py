"""The gateway in a throw-away Debian 13 on this machine's network."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.fleet.nodes import PORT
from tests.fleet.roots import told
from tests.machine.roots import TREE, Root

ADDRESS = f"127.0.0.1:{PORT}"
ADDRESSES = ("127.0.0.11", "127.0.0.12", "127.0.0.13")
"""Of its nodes."""
DEADLINE_S = 60.0
_FILES = TREE / "fleet/gateway"


class Gateway:
    """Configured by `set`, started by `running`."""

    def __init__(self, root: Root) -> None:
        self.root, self.view = root, root.path
        view = self.view
        for folder in ("etc/hailo-gateway", "usr/share/hailo-gateway", "run/hailo-gateway"):
            (view / folder).mkdir(parents=True, exist_ok=True)
        for name in ("global.cfg", "service.cfg", "conversation.lua", "turns.lua"):
            shutil.copy(_FILES / name, view / "usr/share/hailo-gateway" / name)
        shutil.copy(_FILES / "gateway.conf", self.conf)
        shutil.copy(_FILES / "hailo-gateway", view / "usr/sbin/hailo-gateway")
        (view / "etc/hailo-gateway/keys").unlink(missing_ok=True)
        self.set(services=f"hailo-vision:{PORT}", rate_limit="0", metrics=f"127.0.0.1:{PORT + 1}")

    @property
    def conf(self) -> Path:
        """Its gateway.conf."""
        return self.view / "etc/hailo-gateway/gateway.conf"

    def set(self, **values: str) -> None:
        """Change settings."""
        lines = self.conf.read_text().splitlines()
        kept = [line for line in lines if line.partition("=")[0] not in values]
        self.conf.write_text("\n".join([*kept, *(f"{key}={value}" for key, value in values.items())]) + "\n")

    def command(self, words: str, *, check: bool = True) -> str:
        """What `hailo-gateway WORDS` says."""
        return told(self.root, f"hailo-gateway {words}", check=check)

    @contextmanager
    def running(self, nodes: int) -> Iterator[None]:
        """HAProxy with the present settings, from when `nodes` nodes are ready."""
        self.command("write")
        log = (self.view / "run/haproxy.log").open("w")
        words = ["chroot", str(self.view), "haproxy", "-W", "-db", "-f", "/run/hailo-gateway/haproxy.cfg"]
        self._process = subprocess.Popen(words, stdout=log, stderr=log)
        try:
            self.await_nodes(nodes)
            yield
        finally:
            self._process.terminate()
            self._process.wait(60)
            log.close()

    def reload(self) -> None:
        """As `systemctl reload` does; returns when the old process is gone."""
        self.command("write")
        workers = self._children()
        self._process.send_signal(signal.SIGUSR2)
        deadline = time.monotonic() + DEADLINE_S
        while not (now := self._children()) or now & workers:
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.1)

    def _children(self) -> frozenset[str]:
        pid = self._process.pid
        return frozenset(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())

    def await_nodes(self, count: int) -> None:
        """Wait until so many nodes are ready for the gateway."""
        deadline = time.monotonic() + DEADLINE_S
        while self.ready_nodes() != count:
            assert time.monotonic() < deadline, self.command("status") + self.log()
            time.sleep(0.1)

    def ready_nodes(self) -> int:
        """How many nodes the gateway takes for ready; -1 while it does not run."""
        text = self.command("status", check=False)
        states = [line.split()[2] for line in text.splitlines()[1:] if line.startswith("hailo-vision ")]
        return sum(state.startswith("UP") for state in states) if states else -1

    def log(self) -> str:
        """What HAProxy logged."""
        return (self.view / "run/haproxy.log").read_text()


def question(text: str, *more: str, image: str = "") -> dict[str, Any]:
    """A chat request; every other further text is the model's."""
    content: Any = text
    if image:
        url = {"url": f"data:image/jpeg;base64,{image}"}
        content = [{"type": "text", "text": text}, {"type": "image_url", "image_url": url}]
    messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
    for number, each in enumerate(more):
        messages.append({"role": "user" if number % 2 else "assistant", "content": each})
    return {"model": "m", "messages": messages, "max_tokens": 9}


def ask(body: dict[str, Any], **headers: str) -> httpx.Response:
    """Send a chat request to the gateway."""
    return httpx.post(
        f"http://{ADDRESS}/v1/chat/completions",
        content=json.dumps(body),
        headers={"Content-Type": "application/json", **headers},
        timeout=DEADLINE_S,
    )

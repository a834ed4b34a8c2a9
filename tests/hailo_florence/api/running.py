"""A real service process on a free port of 127.0.0.1."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

FLORENCE = ("hailo_florence", "--demo", "shapes")
FAKE = ("tests.hailo_florence.api.fake_service",)
FAKE_VISION = (*FAKE, "--service", "hailo-vision")
START_S = 60.0


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Running:
    """A started service with a client for it and its log so far."""

    popen: subprocess.Popen[bytes]
    port: int
    client: httpx.Client
    log_file: Path

    @property
    def log(self) -> str:
        """Everything on standard error until now."""
        return self.log_file.read_text()

    def health(self) -> dict[str, Any]:
        """The body of /health, whatever its status."""
        return dict(self.client.get("/health").json())

    def pid(self) -> int:
        """The engine's process id."""
        return int(self.health()["engine"]["pid"])

    def until_ready(self, seconds: float = START_S) -> None:
        """Wait for /health/ready."""
        self.until(lambda: self.client.get("/health/ready").status_code == 200, seconds)

    def until(self, condition: Any, seconds: float = START_S) -> None:
        """Wait for a condition, with a deadline; connection errors count as not yet."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert self.popen.poll() is None, f"the service ended: {self.log}"
            with contextlib.suppress(httpx.TransportError):
                if condition():
                    return
            time.sleep(0.02)
        raise AssertionError(f"waited {seconds} s in vain: {self.log}")

    def stop(self, number: int = signal.SIGTERM, seconds: float = 35.0) -> int:
        """Signal the service and return its exit status."""
        if self.popen.poll() is None:
            self.popen.send_signal(number)
        return self.popen.wait(seconds)


@contextlib.contextmanager
def started(
    module: Sequence[str] = FLORENCE,
    *arguments: str,
    ready: bool = True,
    program: Sequence[str] = (sys.executable, "-m"),
    **environ: str,
) -> Iterator[Running]:
    """Run a service until the end of the block; the engine process must be gone afterwards."""
    port = free_port()
    with tempfile.NamedTemporaryFile(suffix=".log") as log:
        popen = subprocess.Popen(
            [*program, *module, "--port", str(port), *arguments],
            stderr=log,
            env={**os.environ, **environ},
        )
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            running = Running(popen, port, client, Path(log.name))
            try:
                if ready:
                    running.until_ready()
                yield running
            finally:
                if popen.poll() is None:
                    popen.kill()
                popen.wait(10)

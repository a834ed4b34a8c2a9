"""A network of machines on this one: a bridge that touches nothing else, and one network namespace each."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager

from tests.machine.roots import sh

HUB_ADDRESS = "10.77.0.1"


class Network:
    """The bridge; `attach` gives a machine its place on it."""

    def __init__(self) -> None:
        self._prefix = f"hf{os.getpid() % 100000}"
        self._bridge = f"{self._prefix}-br"
        self._count = 0
        self._ports: dict[str, str] = {}

    @contextmanager
    def up(self) -> Iterator[Network]:
        """Make the bridge, and remove it."""
        sh("ip", "netns", "add", self._bridge)
        try:
            self._in(self._bridge, "ip", "link", "add", "bridge0", "type", "bridge")
            self._in(self._bridge, "ip", "link", "set", "bridge0", "up")
            yield self
        finally:
            sh("ip", "netns", "delete", self._bridge)

    @contextmanager
    def attach(self, address: str) -> Iterator[str]:
        """A namespace with this address; yields its path for systemd-nspawn."""
        self._count += 1
        name, port = f"{self._prefix}-{self._count}", f"port{self._count}"
        self._ports[address] = port
        sh("ip", "netns", "add", name)
        try:
            self._in(
                self._bridge,
                "ip",
                "link",
                "add",
                port,
                "type",
                "veth",
                "peer",
                "name",
                "host0",
                "netns",
                name,
            )
            self._in(self._bridge, "ip", "link", "set", port, "master", "bridge0", "up")
            for words in (
                ("link", "set", "lo", "up"),
                ("link", "set", "host0", "up"),
                ("address", "add", f"{address}/24", "dev", "host0"),
            ):
                self._in(name, "ip", *words)
            yield f"/run/netns/{name}"
        finally:
            with contextlib.suppress(AssertionError):
                sh("ip", "netns", "delete", name)

    def unplug(self, address: str) -> None:
        """Pull a machine's cable: it says nothing any more, not even that it is gone."""
        self._in(self._bridge, "ip", "link", "set", self._ports[address], "down")

    def _in(self, namespace: str, *words: str) -> None:
        sh("ip", "netns", "exec", namespace, *words)

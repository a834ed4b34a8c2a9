"""A fleet on one machine: a hub (repository, Ansible, gateway) and nodes, each a booted Debian 13."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from fleet.repository.keys import Keys
from fleet.repository.repository import Repository
from tests.fleet.network import HUB_ADDRESS, Network
from tests.machine.machine import Machine, booted
from tests.machine.roots import TREE, Root, overlay

URL = "http://repository.lan/hailo"
NODES = {"node1": "10.77.0.11", "node2": "10.77.0.12", "node3": "10.77.0.13"}
_ANSIBLE_S = 1800
_IDLE = ("prometheus", "prometheus-node-exporter", "haproxy", "apt-daily.timer", "apt-daily-upgrade.timer")


class Fleet:
    """The machines by name, and the repository that the hub shows."""

    def __init__(self, network: Network, hub: Machine, nodes: Mapping[str, Machine], folder: Path) -> None:
        self.network, self.hub, self.nodes = network, hub, nodes
        self.published = hub.file("/srv/www/hailo")
        self.keys = Keys(folder / "keys")
        self._folder = folder

    def repository(self) -> Repository:
        """The tool on the published folder, with the history of now."""
        return Repository(self.published, self.keys, url=URL)

    def publish(self, debs: Sequence[Path]) -> None:
        """Publish packages as candidate and stable."""
        self.repository().publish(debs, "Test fleet")
        self.repository().promote()

    def ansible(self, *, check: bool = True, **variables: Any) -> str:
        """Run the play of fleet/ansible over all nodes."""
        settings = {
            "hailo_repository_url": URL,
            "hailo_repository_keyring": "/srv/www/hailo/hailo-appliance-archive-keyring.pgp",
            "hailo_packages": ["hailo-florence", "hailo-demo-models", "hailo-fleet-node"],
            "hailo_settings": {"hailo-florence": {"host": "0.0.0.0", "model": "demo"}},
            # These machines let Ansible in as root.
            "ansible_become": False,
            **variables,
        }
        self.hub.file("/root/ansible/extra.json").write_text(json.dumps(settings))
        command = (
            "cd /root/ansible && ANSIBLE_HOST_KEY_CHECKING=no ANSIBLE_PIPELINING=yes ANSIBLE_NOCOLOR=yes"
            " ansible-playbook -i inventory.ini -e @extra.json nodes.yml 2>&1"
        )
        done = self.hub.run(command, check=False, timeout=_ANSIBLE_S)
        assert not (check and done.returncode), done.stdout + self.journals()
        return done.stdout

    def journals(self) -> str:
        """What the machines' units told last, for who looks for a fault; not the single requests."""
        journal = "journalctl --no-pager --lines 4000 --unit 'hailo-*'"
        command = f"{journal} | grep -Ev 'status=200|generated success' | tail -n 60"
        return "".join(
            f"\n== {name}\n{machine.run(command, check=False).stdout}"
            for name, machine in {"hub": self.hub, **self.nodes}.items()
        )

    def all_answered(self, counts: Mapping[str, int]) -> None:
        """Fail unless every request of a load was answered well."""
        print(f"\nrequests: {counts}")
        assert set(counts) == {"200"}, f"{counts}\n{self.journals()}"

    def version(self, name: str) -> str:
        """The version that runs on a node, as its service says."""
        told = self.hub.run(f"curl -s -m 20 http://{NODES[name]}:11438/health").stdout
        return str(json.loads(told)["version"])

    def ready(self, name: str) -> bool:
        """Does a node's service say that it is ready?"""
        command = f"curl -s -o /dev/null -w '%{{http_code}}' -m 20 http://{NODES[name]}:11438/health/ready"
        return self.hub.run(command, check=False).stdout == "200"

    @contextmanager
    def load(self, clients: int) -> Iterator[dict[str, int]]:
        """Captions through the gateway all the time; the yielded counts are filled when the block ends."""
        counts: dict[str, int] = {}
        stop, now = self.hub.file("/root/stop"), self.hub.file("/root/stop.now")
        for path in (stop, now):
            path.unlink(missing_ok=True)
        caption = f"http://{HUB_ADDRESS}:11438/v1/caption"
        command = f"python3 /root/load.py {caption} {clients} /root/stop /root/sample.jpg"

        def run() -> None:
            counts.update(json.loads(self.hub.run(command, timeout=7200).stdout))

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            self.hub.wait("the load runs", lambda: now.exists() and "200" in now.read_text())
            yield counts
        finally:
            stop.touch()
            thread.join(600)
        assert not thread.is_alive()

    def answered(self) -> int:
        """Requests of the present load that were answered well until now."""
        text = self.hub.file("/root/stop.now").read_text()
        return int(json.loads(text or "{}").get("200", 0))


@contextmanager
def fleet(hub_root: Path, node_root: Path, folder: Path) -> Iterator[Fleet]:
    """Boot everything."""
    with ExitStack() as stack:
        network = stack.enter_context(Network().up())
        hub_view = stack.enter_context(overlay(hub_root))
        views = {name: stack.enter_context(overlay(node_root)) for name in NODES}
        _prepare_hub(hub_view)
        for name, view in views.items():
            _prepare_node(view, name, hub_view)
        hub = _boot(stack, network, hub_view, "hub", HUB_ADDRESS)
        nodes = {name: _boot(stack, network, views[name], name, NODES[name]) for name in NODES}
        yield Fleet(network, hub, nodes, folder)


def _boot(stack: ExitStack, network: Network, view: Path, name: str, address: str) -> Machine:
    place = stack.enter_context(network.attach(address))
    return stack.enter_context(booted(view, network=place, name=f"hailo-{name}"))


def _prepare_hub(view: Path) -> None:
    shutil.copytree(TREE / "fleet/ansible", view / "root/ansible")
    groups = "\n".join(f"{name} ansible_host={address}" for name, address in NODES.items())
    (view / "root/ansible/inventory.ini").write_text(f"[hailo_nodes]\n{groups}\n")
    (view / "srv/www").mkdir(parents=True)
    shutil.copy(TREE / "fleet/repository/nginx.conf", view / "etc/nginx/conf.d/hailo.conf")
    (view / "etc/nginx/sites-enabled/default").unlink(missing_ok=True)
    for file in (TREE / "tests/fleet/load.py", TREE / "docs/sample.jpg"):
        shutil.copy(file, view / "root")
    (view / "root/.ssh").mkdir(mode=0o700, exist_ok=True)
    Root(view).run("ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519")
    _prepare(view, "hub")


def _prepare_node(view: Path, name: str, hub_view: Path) -> None:
    (view / "root/.ssh").mkdir(mode=0o700, exist_ok=True)
    shutil.copy(hub_view / "root/.ssh/id_ed25519.pub", view / "root/.ssh/authorized_keys")
    _prepare(view, name)


def _prepare(view: Path, name: str) -> None:
    """What a machine finds at its start: names, and no way to Debian's servers."""
    (view / "etc/hostname").write_text(f"{name}\n")
    (view / "etc/hosts").write_text(f"127.0.0.1 localhost\n{HUB_ADDRESS} repository.lan hub\n")
    (view / "etc/resolv.conf").unlink(missing_ok=True)
    (view / "etc/resolv.conf").write_text("")
    for old in [view / "etc/apt/sources.list", *(view / "etc/apt/sources.list.d").iterdir()]:
        old.unlink(missing_ok=True)
    Root(view).run(f"systemctl disable --quiet {' '.join(_IDLE)} 2>/dev/null || true")


def wait_until(what: str, holds: Any, seconds: float = 300) -> None:
    """Wait with a deadline."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.5)


def output_of(machine: Machine, command: str, timeout: float = 900) -> subprocess.CompletedProcess[str]:
    """A command whose failure is for the test to judge; both outputs in one."""
    return machine.run(f"exec 2>&1\n{command}", check=False, timeout=timeout)

"""A whole fleet, in this order: provisioned, upgraded under load, a node killed, rolled back, attacked.

Each test begins where the one before it ended.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fleet.attacks import ATTACKS, put_back
from tests.fleet.fleet import NODES, Fleet, fleet, output_of, wait_until
from tests.fleet.network import HUB_ADDRESS
from tests.fleet.operator import STRICT
from tests.fleet.versions import another, built
from tests.machine.roots import TREE

pytestmark = pytest.mark.fleet
FIRST, SECOND, BROKEN = "9.1.0", "9.2.0", "9.3.0"
CLIENTS = 4


@pytest.fixture(scope="module")
def machines(hub_root: Path, node_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """The machines, booted; nothing of ours is on them."""
    with fleet(hub_root, node_root, tmp_path_factory.mktemp("operator")) as made:
        yield made


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """Packages of three versions; the service of the last one cannot start."""

    def break_florence(name: str, root: Path) -> None:
        if name == "hailo-florence":
            (root / "usr/bin/hailo-florence-server").write_text("#!/bin/sh\nexit 1\n")

    folder, debs = tmp_path_factory.mktemp("versions"), built()
    others = [deb for deb in debs if deb.name.startswith("python3-tokenizers")]
    return {
        FIRST: another(debs, FIRST, folder / FIRST) + others,
        SECOND: another(debs, SECOND, folder / SECOND),
        BROKEN: another(debs, BROKEN, folder / BROKEN, break_florence),
    }


def test_ansible_provisions_three_nodes(machines: Fleet, versions: dict[str, list[Path]]) -> None:
    machines.publish(versions[FIRST])
    output = machines.ansible(hailo_serial=3)
    assert "failed=0" in output, output
    for name in NODES:
        assert machines.ready(name)
        assert machines.version(name) == FIRST
    again = machines.ansible(hailo_serial=3)
    assert again.count("changed=0") == 3, again


def test_the_gateway_comes_from_the_repository_too(machines: Fleet) -> None:
    nodes = " ".join(NODES.values())
    machines.hub.run(
        f"printf '%s\\n' 'hailo-gateway hailo-gateway/nodes string {nodes}'"
        " 'hailo-gateway hailo-gateway/listen string *' 'hailo-gateway hailo-gateway/rate_limit string 0'"
        " | debconf-set-selections"
    )
    output = output_of(
        machines.hub,
        "sh /srv/www/hailo/provision.sh --no-upgrades hailo-gateway && systemctl is-active hailo-gateway",
    )
    assert output.returncode == 0, output.stdout
    ready = f"curl -s http://{HUB_ADDRESS}:11438/health/ready"
    wait_until("three nodes are ready", lambda: '"nodes": 3' in machines.hub.run(ready).stdout)
    assert "UP" in machines.hub.run("hailo-gateway status").stdout


def test_keys_and_https_are_at_the_gateway(machines: Fleet) -> None:
    hub = machines.hub
    hub.run(
        "cp -p /etc/hailo-gateway/gateway.conf /root/kept && cd /etc/hailo-gateway"
        " && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
        " -subj /CN=repository.lan -addext subjectAltName=DNS:repository.lan -keyout key.pem -out cert.pem"
        " && cat cert.pem key.pem >tls.pem && chgrp haproxy tls.pem && chmod 640 tls.pem"
        ' && sed -i "s,^api_keys=.*,api_keys=yes,; s,^certificate=.*,certificate=$PWD/tls.pem," gateway.conf'
        " && sed -i s,^names=.*,names=repository.lan, gateway.conf"
    )
    assert output_of(hub, "systemctl reload hailo-gateway").returncode, "there is no key yet"
    assert hub.state("hailo-gateway", "ActiveState") == "active", "it goes on as it was"
    key = hub.run("hailo-gateway key add tests").stdout.strip()

    def status(key: str) -> str:
        curl = "curl -s -m 60 -o /dev/null -w '%{http_code}' --cacert /etc/hailo-gateway/cert.pem"
        url = "-F image=@/root/sample.jpg https://repository.lan:11438/v1/caption"
        return hub.run(f"{curl} -H 'Authorization: Bearer {key}' {url}", check=False).stdout

    wait_until("the new settings hold", lambda: status("nonsense") == "401")
    wait_until("who has the key is answered", lambda: status(key) == "200", 60)
    hub.run("cp -p /root/kept /etc/hailo-gateway/gateway.conf && systemctl reload hailo-gateway")
    ready = f"curl -s http://{HUB_ADDRESS}:11438/health/ready"
    wait_until("the old settings hold", lambda: '"nodes": 3' in hub.run(ready, check=False).stdout)


def test_a_rolling_upgrade_under_load_fails_no_request(
    machines: Fleet, versions: dict[str, list[Path]]
) -> None:
    machines.publish(versions[SECOND])
    with machines.load(CLIENTS) as counts:
        output = machines.ansible()
    assert "failed=0" in output, output
    machines.all_answered(counts)
    assert {machines.version(name) for name in NODES} == {SECOND}


def test_a_node_that_goes_silent_loses_only_what_it_had_begun(machines: Fleet) -> None:
    status = "hailo-gateway status | grep -c '^hailo-florence .* UP '"
    wait_until("the gateway has all nodes", lambda: machines.hub.run(status, check=False).stdout == "3\n")
    with machines.load(CLIENTS) as counts:
        before = machines.answered()
        machines.network.unplug(NODES["node3"])
        wait_until("the others answer", lambda: machines.answered() > before + 6)
    failed = sum(count for status, count in counts.items() if status != "200")
    print(f"\nrequests around the death of a node: {counts}")
    assert failed <= 1, counts


def test_the_fleet_goes_back(machines: Fleet) -> None:
    machines.repository().rollback("stable")
    machines.hub.file("/root/ansible/inventory.ini").write_text(
        "[hailo_nodes]\n"
        + "\n".join(f"{name} ansible_host={NODES[name]}" for name in ("node1", "node2"))
        + "\n"
    )
    with machines.load(CLIENTS) as counts:
        output = machines.ansible()
    assert "failed=0" in output, output
    machines.all_answered(counts)
    assert {machines.version(name) for name in ("node1", "node2")} == {FIRST}


def test_a_bad_upgrade_is_taken_back_by_the_node_itself(
    machines: Fleet, versions: dict[str, list[Path]]
) -> None:
    machines.publish(versions[BROKEN])
    node = machines.nodes["node1"]
    node.file("/var/lib/prometheus/node-exporter").mkdir(parents=True)
    drop = node.file("/etc/systemd/system/hailo-fleet-check.service.d")
    drop.mkdir(parents=True)
    (drop / "test.conf").write_text("[Service]\nEnvironment=HAILO_FLEET_HEAL_S=60\n")
    node.run("systemctl daemon-reload")
    with machines.load(2) as counts:
        done = output_of(node, "apt-get update && unattended-upgrade --verbose")
        assert done.returncode == 0, done.stdout
        last = node.file("/var/lib/hailo-fleet/last")
        wait_until(f"the node has decided\n{done.stdout}", last.exists, 900)
        wait_until("the node is back", lambda: machines.ready("node1"))
    machines.all_answered(counts)
    assert last.read_text().startswith("rolled_back\n"), last.read_text()
    assert machines.version("node1") == FIRST
    assert BROKEN in node.journal("hailo-fleet-check.service")
    metrics = node.file("/var/lib/prometheus/node-exporter/hailo_fleet.prom").read_text()
    assert 'hailo_fleet_upgrade_result{result="rolled_back"} 1' in metrics
    again = output_of(node, "apt-get update && unattended-upgrade --verbose")
    assert again.returncode == 0, again.stdout
    assert machines.version("node1") == FIRST, "the bad version is refused from now on"


def test_a_good_upgrade_comes_in_by_itself(machines: Fleet, versions: dict[str, list[Path]]) -> None:
    node = machines.nodes["node2"]
    machines.publish(versions[SECOND])
    with machines.load(2) as counts:
        done = output_of(node, "apt-get update && unattended-upgrade --verbose")
        assert done.returncode == 0, done.stdout
        last = node.file("/var/lib/hailo-fleet/last")
        wait_until(f"the node has checked it\n{done.stdout}", last.exists, 900)
        wait_until("the node is back", lambda: machines.ready("node2"))
    machines.all_answered(counts)
    assert last.read_text().startswith("good\n"), last.read_text()
    assert machines.version("node2") == SECOND


@pytest.fixture(scope="module")
def offered(machines: Fleet, versions: dict[str, list[Path]]) -> None:
    """The repository offers node1 a higher version than it has."""
    machines.publish(versions[SECOND])


@pytest.mark.usefixtures("offered")
@pytest.mark.parametrize("attack", ATTACKS)
def test_nodes_keep_serving_while_apt_refuses_an_attack(machines: Fleet, attack: str) -> None:
    node = machines.nodes["node1"]
    node.file("/etc/apt/preferences.d/hailo-appliance-refused.pref").unlink(missing_ok=True)
    node.run("apt-get clean; apt-get update")
    policy = "apt-cache policy hailo-common hailo-florence"
    versions = node.run(policy).stdout
    upgrade = f"install -y --allow-downgrades --download-only hailo-florence={SECOND} hailo-common={SECOND}"
    with put_back(machines):
        words = ATTACKS[attack](machines)
        done = output_of(node, f"apt-get {STRICT} update && apt-get {STRICT} {upgrade}")
        assert done.returncode == (100 if words else 0), done.stdout
        assert re.search(words, done.stdout), done.stdout
        assert node.run(policy).stdout == versions
    assert machines.ready("node1")
    assert machines.version("node1") == FIRST


def test_the_timer_signs_the_repository_anew_without_the_primary_key(machines: Fleet) -> None:
    hub = machines.hub
    shutil.copytree(TREE / "fleet", hub.file("/srv/hailo-appliance/fleet"))
    keys = hub.file("/srv/hailo-repository-keys")
    shutil.copytree(machines.keys.folder, keys, ignore=shutil.ignore_patterns("primary", "S.*"))
    hub.run(
        "cp /srv/hailo-appliance/fleet/repository/hailo-repository-refresh.* /etc/systemd/system/"
        " && useradd --system hailo-repository"
        " && chown -R hailo-repository: /srv/www/hailo /srv/hailo-repository-keys"
        " && systemctl daemon-reload && systemctl enable --now hailo-repository-refresh.timer"
    )
    done = output_of(hub, "systemctl start hailo-repository-refresh.service")
    assert done.returncode == 0, hub.journal("hailo-repository-refresh.service")
    assert "Valid-Until: " in (machines.published / "dists/stable/InRelease").read_text()
    done = output_of(machines.nodes["node1"], f"apt-get {STRICT} update")
    assert done.returncode == 0, done.stdout

"""What a service has to do with a network, on a booted machine: images by address, and being announced.

The machine is alone: a public address and a private one lie on its loopback, a web server with TLS on both.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.certificates import certificate
from tests.machine.asking import CAPTION, PORTS, ready
from tests.machine.machine import Machine, booted
from tests.machine.roots import TREE, overlay

SERVICE = "hailo-florence"
ADDRESSES = {
    "images.example": "93.184.215.14",
    "other.example": "93.184.215.15",
    "inside.example": "10.9.8.7",
    "here.example": "127.0.0.1",
}
ANNOUNCED = f"/etc/avahi/services/{SERVICE}.service"
_HOST = """
import http.server, ssl, sys
server = http.server.ThreadingHTTPServer(("0.0.0.0", 443), http.server.SimpleHTTPRequestHandler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/etc/images.pem")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""


@pytest.fixture(scope="module")
def machine(installed: list[Path], apt_repository: Path) -> Iterator[Machine]:
    """A machine with hailo-florence, and a host of images at all these addresses."""
    with overlay(*installed) as view, booted(view, apt_repository) as running:
        certificate(view / "etc/images.pem", tuple(ADDRESSES))
        with (view / "etc/hosts").open("a", encoding="utf-8") as hosts:
            hosts.write("".join(f"{address} {name}\n" for name, address in ADDRESSES.items()))
        for address in ADDRESSES.values():
            running.run(f"ip address add {address}/32 dev lo", check=False)
        (view / "srv/images").mkdir(parents=True)
        shutil.copy(TREE / "docs/sample.jpg", view / "srv/images/a.jpg")
        (view / "root/host.py").write_text(_HOST, encoding="utf-8")
        running.run("systemd-run --unit=host --working-directory=/srv/images python3 /root/host.py")
        trusts = view / "etc/systemd/system/hailo-images.service.d/host.conf"
        trusts.parent.mkdir(parents=True)
        trusts.write_text("[Service]\nEnvironment=SSL_CERT_FILE=/etc/images.pem\n", encoding="utf-8")
        running.run(f"hailo-ctl config set {SERVICE} model=shapes")
        running.run(f"systemctl daemon-reload; systemctl restart {SERVICE}")
        running.wait("it is ready", lambda: ready(running, PORTS[SERVICE]))
        yield running


def asked(machine: Machine, name: str) -> tuple[int, dict[str, object]]:
    """The answer about an image at an address."""
    body = json.dumps({"image": f"https://{name}/a.jpg"})
    done = machine.run(
        f"curl -sS -m 60 -w '\\n%{{http_code}}' -H 'Content-Type: application/json' -d '{body}'"
        f" http://127.0.0.1:{PORTS[SERVICE]}/v1/caption"
    )
    told, _, status = done.stdout.rpartition("\n")
    return int(status), dict(json.loads(told))


def seen(machine: Machine) -> int:
    """How many connections the host of images noted."""
    return machine.journal("host").count("GET /a.jpg")


def test_no_image_is_fetched_before_an_operator_says_so(machine: Machine) -> None:
    assert machine.state("hailo-images.socket", "ActiveState") == "inactive"
    status, told = asked(machine, "images.example")
    assert status == 400, told
    assert seen(machine) == 0
    # A socket that is on, with no host listed, gives nothing either.
    machine.run("systemctl enable --now hailo-images.socket")
    status, told = asked(machine, "images.example")
    assert status == 400, told
    assert seen(machine) == 0


def test_a_listed_host_and_nothing_private(machine: Machine) -> None:
    names = ",".join(name for name in ADDRESSES if name != "other.example")
    machine.run(f"hailo-ctl config set hailo-images hosts={names},10.9.8.7,127.0.0.1")
    machine.run("systemctl try-restart hailo-images.service")
    status, told = asked(machine, "images.example")
    assert (status, told.get("caption")) == (200, CAPTION), told
    assert machine.state("hailo-images.service", "ActiveState") == "active"
    assert seen(machine) == 1
    for name in ("other.example", "inside.example", "here.example", "10.9.8.7", "127.0.0.1", "0x7f000001"):
        status, told = asked(machine, name)
        assert status == 400, (name, told)
        print(f"\n{name}: {told.get('message', told)}")
    assert seen(machine) == 1
    # The service itself has no network, and its fetcher another user.
    assert machine.run("ps -o user= -C python3 | sort -u").stdout.split().count("hailo-images") == 1
    machine.run("systemctl disable --now hailo-images.socket")
    assert asked(machine, "images.example")[0] == 400
    assert seen(machine) == 1


def test_every_one_of_many_quick_restarts_takes_the_settings(machine: Machine) -> None:
    for port in range(12001, 12013):
        machine.run(f"hailo-ctl config set {SERVICE} port={port} && systemctl restart {SERVICE}")
        assert f":{port}" in machine.run("ss -Hltn").stdout, port
    machine.run(f"hailo-ctl config set {SERVICE} port={PORTS[SERVICE]} && systemctl restart {SERVICE}")


def test_it_is_announced_only_while_it_listens_beyond_this_machine(machine: Machine) -> None:
    """Without avahi-daemon nobody reads it; its folder is what the package would bring."""
    folder = machine.file("/etc/avahi/services")
    machine.run(f"systemctl restart {SERVICE}")
    assert not folder.exists()
    folder.mkdir(parents=True)
    file = machine.file(ANNOUNCED)
    machine.run(f"systemctl restart {SERVICE}")
    assert not file.exists()
    for host, there in (("0.0.0.0", True), ("127.0.0.1", False), ("10.9.8.7", True)):
        machine.run(f"hailo-ctl config set {SERVICE} host={host} && systemctl restart {SERVICE}")
        assert file.exists() == there, host
        if there:
            told = ET.parse(file).getroot()
            assert told.findtext("service/type") == "_http._tcp"
            assert told.findtext("service/port") == str(PORTS[SERVICE])
            assert "key=none" in [record.text for record in told.iter("txt-record")]
    machine.run(f"hailo-ctl config set {SERVICE} announce=false && systemctl restart {SERVICE}")
    assert not file.exists()
    assert list(folder.iterdir()) == []

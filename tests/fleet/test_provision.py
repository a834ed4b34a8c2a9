"""The script that makes a node, in a Debian 13 that is not booted: the README's two commands."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.fleet.operator import KEYRING, Operator, served
from tests.fleet.roots import told
from tests.fleet.versions import built
from tests.machine.roots import TREE, Root

pytestmark = pytest.mark.fleet
HELPER = "/usr/lib/apt/apt-helper download-file"


@pytest.fixture
def operator(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Operator]:
    """A repository with the packages of this project."""
    operator = Operator(tmp_path / "operator")
    with served(operator.published) as url:
        operator.url = url
        operator.repository().publish(built(), "Test repository")
        yield operator


@pytest.fixture
def bare(node: Root) -> Root:
    """A machine that knows no repository."""
    node.file("/etc/apt/sources.list").unlink(missing_ok=True)
    for old in node.file("/etc/apt/sources.list.d").iterdir():
        old.unlink()
    return node


def test_two_commands_make_a_node(bare: Root, operator: Operator, capsys: pytest.CaptureFixture[str]) -> None:
    printed = capsys.readouterr().out
    sums = [word for word in printed.split() if word.startswith("SHA256:")]
    told(bare, f"cd /root && {HELPER} {operator.url}/provision.sh provision.sh {sums[-1]}")
    told(bare, "cd /root && sh provision.sh hailo-florence hailo-demo-models")
    for name in (KEYRING, "hailo-fleet-node", "hailo-florence", "hailo-demo-models"):
        assert told(bare, f"dpkg-query -W -f '${{db:Status-Status}}' {name}") == "installed"
    owner = told(bare, f"dpkg -S /usr/share/keyrings/{KEYRING}.pgp")
    assert owner.startswith(KEYRING)
    assert f"URIs: {operator.url}" in bare.file("/etc/apt/sources.list.d/hailo-appliance.sources").read_text()
    policy = told(bare, "apt-cache policy hailo-florence")
    assert "1001" in policy
    patterns = told(bare, "apt-config dump Unattended-Upgrade")
    assert '"origin=Hailo appliance"' in patterns
    told(bare, "cd /root && sh provision.sh hailo-florence hailo-demo-models")


def test_a_script_with_another_sum_is_not_kept(bare: Root, operator: Operator) -> None:
    wrong = "SHA256:" + "0" * 64
    output = told(bare, f"cd /root && {HELPER} {operator.url}/provision.sh provision.sh {wrong}", check=False)
    assert "Hash Sum mismatch" in output
    assert not bare.file("/root/provision.sh").exists()


def test_answers_and_settings_come_along(bare: Root, operator: Operator) -> None:
    bare.file("/root/answers").write_text("hailo-florence hailo-florence/port string 12345\n")
    bare.file("/root/settings/hailo-florence.d").mkdir(parents=True)
    bare.file("/root/settings/hailo-florence.d/50-site.yaml").write_text("host: 0.0.0.0\n")
    told(bare, f"/usr/lib/apt/apt-helper download-file {operator.url}/provision.sh /root/provision.sh")
    told(
        bare,
        "cd /root && sh provision.sh --no-upgrades --preseed answers --dropins settings hailo-florence",
    )
    assert told(bare, "hailo-ctl config get hailo-florence port").strip() == "12345"
    assert told(bare, "hailo-ctl config get hailo-florence host").strip() == "0.0.0.0"
    assert "not-installed" in told(
        bare, "dpkg-query -W -f '${db:Status-Status}' hailo-fleet-node || echo not-installed", check=False
    )


def test_cloud_init_makes_the_same_at_the_first_boot(bare: Root, operator: Operator) -> None:
    digest = hashlib.sha256((operator.published / "provision.sh").read_bytes()).hexdigest()
    text = (TREE / "fleet/node/cloud-init.yaml").read_text()
    text = text.replace("https://repository.lan/hailo", operator.url).replace("PUT-THE-SUM-HERE", digest)
    data = yaml.safe_load(text)
    for each in data["write_files"]:
        bare.file(each["path"]).parent.mkdir(parents=True, exist_ok=True)
        bare.file(each["path"]).write_text(each["content"])
    for words in data["runcmd"]:
        told(bare, shlex.join(words))
    for service in ("hailo-vision", "hailo-florence"):
        assert told(bare, f"hailo-ctl config get {service} host").strip() == "0.0.0.0"
    assert told(bare, "dpkg-query -W -f '${db:Status-Status}' hailo-fleet-node") == "installed"


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        ("sed -i s/^VERSION_CODENAME=.*/VERSION_CODENAME=bookworm/ /etc/os-release", "needs Debian 13"),
        ("sed -i 's/^URL=.*/URL=\"\"/' /root/provision.sh", "which repository"),
        ("sed -i 's,^URL=.*,URL=\"http://127.0.0.1:9\",' /root/provision.sh", "could not be fetched"),
    ],
)
def test_what_cannot_work_installs_nothing(bare: Root, operator: Operator, break_it: str, words: str) -> None:
    bare.file("/root/provision.sh").write_bytes((operator.published / "provision.sh").read_bytes())
    told(bare, break_it)
    output = told(bare, "cd /root && PROVISION_TRIES=1 sh provision.sh", check=False)
    assert words in output
    assert not bare.file("/usr/bin/hailo-ctl").exists()

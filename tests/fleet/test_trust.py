"""What files that people copy ask them to trust: threats L2 and L4 of tests/threats.md."""

from __future__ import annotations

import re
from pathlib import Path
from shutil import which

import jinja2
import pytest
import yaml

from tests.packaging.apt import Apt
from tests.packaging.vendors import entry

TREE = Path(__file__).parents[2]
PREFERENCES = TREE / "fleet/node/hailo-appliance.pref"
ROLE = TREE / "fleet/ansible/roles/hailo_node/tasks"
EXAMPLES = (
    *(TREE / "fleet").rglob("*"),
    *(TREE / "docs").glob("*.md"),
    TREE / "README.md",
)
_PLAIN = re.compile(r"http://(?:repository|models|repo)\.[a-z]+")


def test_examples_name_repositories_and_mirrors_by_https() -> None:
    read = [path for path in EXAMPLES if path.is_file() and path.suffix not in (".pyc", ".png")]
    assert len(read) > 30
    plain = {str(path.relative_to(TREE)): _PLAIN.findall(path.read_text(encoding="utf-8")) for path in read}
    assert {name: found for name, found in plain.items() if found} == {}


def test_the_readme_takes_back_what_it_had_trusted() -> None:
    commands = re.findall(r"^    (.*)$", (TREE / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    trusting = [line for line in commands if "trusted=yes" in line]
    assert trusting
    for line in trusting:
        place = line.rpartition("sudo tee ")[2]
        assert f"sudo rm {place}" in commands[commands.index(line) :]


@pytest.mark.parametrize(
    ("task", "item", "hidden"),
    [
        ("Write settings", {"key": "hailo-vision", "value": {"api_keys": ["a-key-of-a-client"]}}, True),
        ("Write settings", {"key": "hailo-vision", "value": {"port": 80}}, False),
        ("Answer debconf's questions", {"type": "password", "value": "a-key-of-a-client"}, True),
        ("Answer debconf's questions", {"type": "string", "value": "0.0.0.0"}, False),
    ],
)
def test_a_key_is_in_no_log_of_the_controller(task: str, item: dict[str, object], hidden: bool) -> None:
    """`--diff` and `-v` show what a task writes, unless it says no_log."""
    tasks = {each["name"]: each for each in yaml.safe_load((ROLE / "main.yml").read_text(encoding="utf-8"))}
    environment = jinja2.Environment(autoescape=False)
    assert environment.from_string(tasks[task]["no_log"]).render(item=item) == str(hidden)
    mode = tasks[task].get("mode") or tasks[task].get("ansible.builtin.copy", {}).get("mode")
    if mode:
        assert environment.from_string(mode).render(item=item) == ("0640" if hidden else "0644")


@pytest.mark.skipif(which("apt-get") is None, reason="apt decides")
@pytest.mark.parametrize("ours", ["2.0", "4.0"])
def test_the_repository_has_no_say_in_other_packages(tmp_path: Path, ours: str) -> None:
    """Threat L2: its holder publishes a libssl3 of version 99; the services go on, and back, with it."""
    apt = Apt(
        tmp_path,
        installed=[entry("hailo-vision", "3.0"), entry("python3-tokenizers", "3.0"), entry("libssl3", "3.0")],
        archive=[
            *(entry("hailo-vision", ours), entry("python3-tokenizers", ours)),
            *(entry("libssl3", "99"), entry("what-is-missing", "1.0")),
        ],
        origin="Hailo appliance",
        preferences=PREFERENCES.read_text(encoding="utf-8"),
    )
    services = {("hailo-vision", ours), ("python3-tokenizers", ours)}
    assert apt.versions("dist-upgrade") == services
    assert apt.versions("install", "libssl3") == set()
    assert apt.versions("install", "what-is-missing") == {("what-is-missing", "1.0")}
